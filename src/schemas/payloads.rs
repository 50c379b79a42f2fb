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

/// The schema with its own identifier in front.
pub(super) fn identified(name: &str, schema: Schema) -> Value {
    const META_SCHEMA: &str = "$schema";
    let mut identified = Map::new();
    identified.extend(schema.get(META_SCHEMA).map(|meta| (META_SCHEMA.to_owned(), meta.clone())));
    identified.insert("$id".to_owned(), schema::id(name).into());
    identified.extend(schema.to_value().as_object().cloned().unwrap_or_default());
    Value::Object(identified)
}
