//! Names of the payloads' JSON Schemas, and the pieces that several of them share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Schema of `scenario.run.requested`, and of a request to schedule.
pub const RUN_REQUESTED: &str = "run-requested";
/// Schema of `scenario.run.cancel_requested`, and of a request to cancel.
pub const CANCEL_REQUESTED: &str = "cancel-requested";
/// Schema of `scenario.run.started`.
pub const RUN_STARTED: &str = "run-started";
/// Schema of `scenario.run.message`.
pub const RUN_MESSAGE: &str = "run-message";
/// Schema of `scenario.run.completed`.
pub const RUN_COMPLETED: &str = "run-completed";
/// Schema of `scenario.run.telemetry_delivered`.
pub const RUN_TELEMETRY_DELIVERED: &str = "run-telemetry-delivered";
/// Schema of `scenario.run.dead_lettered`.
pub const RUN_DEAD_LETTERED: &str = "run-dead-lettered";
/// Schema of the receipt: the answer to a request to schedule.
pub const SCHEDULE_REPLY: &str = "schedule-reply";
/// Schema of the answer to a request to cancel.
pub const CANCEL_REPLY: &str = "cancel-reply";
/// Schema of a request for a run's status.
pub const STATUS_REQUEST: &str = "status-request";
/// Schema of the answer to that.
pub const STATUS_REPLY: &str = "status-reply";
/// Schema of the answer to what could not be done.
pub const ERROR_REPLY: &str = "error-reply";

/// An identifier that is a token of a subject.
pub(super) const TOKEN_PATTERN: &str = "^[A-Za-z0-9_-]+$";
/// A text without the control characters of Unicode (category Cc).
pub const LABEL_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// A trace id of W3C Trace Context.
pub(super) const TRACE_ID_PATTERN: &str = "^[0-9a-f]{32}$";
/// A SHA-256 digest.
pub(super) const SHA256_PATTERN: &str = "^[0-9a-f]{64}$";
/// RFC 3339 in UTC, with as many digits of a second as there are.
const TIMESTAMP_PATTERN: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$";

/// The identifier that the schema called `name` has for itself.
#[must_use]
pub fn id(name: &str) -> String {
    format!("urn:scenario-worker:schema:{name}")
}

/// Stands for a time wherever one travels.
pub(super) struct Timestamp;

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Timestamp")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "pattern": TIMESTAMP_PATTERN })
    }
}

/// Makes a schema of names one of known names: there may be others, of a newer worker, and `unknown` stands for those
/// and does not travel.
pub(super) fn open_names(schema: &mut Schema, unknown: &str) {
    let Some(Value::Array(mut names)) = schema.remove("oneOf") else { return };
    names.retain(|name| name["const"] != unknown);
    names.push(json!({ "type": "string", "description": "What a newer worker may say." }));
    schema.insert("anyOf".to_owned(), Value::Array(names));
}
