//! The schema of each payload.

use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use super::polish::{known_formats, no_nulls_that_are_left_out, plain_words};
use crate::events::{
    CancelReply, CancelRequest, DeadLetter, ErrorReply, Receipt, RequestPayload, RunCompleted, RunMessage,
    RunQuery, RunReport, RunStarted, RunTelemetryDelivered, schema,
};

/// Every payload's schema by its name. What others write may lack what has a default; what the worker writes has it.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    vec![
        (schema::RUN_REQUESTED, read::<RequestPayload>(schema::RUN_REQUESTED)),
        (schema::CANCEL_REQUESTED, read::<CancelRequest>(schema::CANCEL_REQUESTED)),
        (schema::RUN_STARTED, written::<RunStarted>(schema::RUN_STARTED)),
        (schema::RUN_MESSAGE, written::<RunMessage>(schema::RUN_MESSAGE)),
        (schema::RUN_COMPLETED, written::<RunCompleted>(schema::RUN_COMPLETED)),
        (schema::RUN_TELEMETRY_DELIVERED, written::<RunTelemetryDelivered>(schema::RUN_TELEMETRY_DELIVERED)),
        (schema::RUN_DEAD_LETTERED, written::<DeadLetter>(schema::RUN_DEAD_LETTERED)),
        (schema::SCHEDULE_REPLY, written::<Receipt>(schema::SCHEDULE_REPLY)),
        (schema::CANCEL_REPLY, written::<CancelReply>(schema::CANCEL_REPLY)),
        (schema::STATUS_REQUEST, read::<RunQuery>(schema::STATUS_REQUEST)),
        (schema::STATUS_REPLY, written::<RunReport>(schema::STATUS_REPLY)),
        (schema::ERROR_REPLY, written::<ErrorReply>(schema::ERROR_REPLY)),
    ]
}

/// Makes schemas of what others write and this program reads.
pub(super) fn reader() -> SchemaGenerator {
    settings(Contract::Deserialize).into_generator()
}

fn settings(contract: Contract) -> SchemaSettings {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.contract = contract);
    settings.with_transform(known_formats).with_transform(plain_words)
}

fn read<T: JsonSchema>(name: &str) -> Value {
    identified(name, reader().into_root_schema_for::<T>())
}

fn written<T: JsonSchema>(name: &str) -> Value {
    let settings = settings(Contract::Serialize).with_transform(no_nulls_that_are_left_out);
    identified(name, settings.into_generator().into_root_schema_for::<T>())
}

/// The schema with what it is in front. Who makes types of it calls them by the title.
pub(super) fn identified(name: &str, mut schema: Schema) -> Value {
    const FRONT: [&str; 4] = ["$schema", "$id", "title", "description"];
    schema.insert(FRONT[1].to_owned(), schema::id(name).into());
    schema.insert(FRONT[2].to_owned(), title(name).into());
    let front = FRONT.into_iter().filter_map(|key| Some((key.to_owned(), schema.get(key)?.clone())));
    let mut identified: Map<String, Value> = front.collect();
    identified.extend(schema.to_value().as_object().cloned().unwrap_or_default());
    Value::Object(identified)
}

/// `run-completed` as `RunCompleted`.
fn title(name: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(word).collect()
}
