//! The messages: a payload and its headers.

use serde_json::{Map, Value, json};

use crate::events::{schema, subjects};
use crate::schemas::file_name;

/// How the payloads are described.
const SCHEMA_FORMAT: &str = "application/schema+json;version=draft-2020-12";

/// Who sets which headers.
#[derive(Clone, Copy)]
enum Headers {
    Request,
    Query,
    Event,
    DeadLetter,
    Answer,
    Error,
}

/// Every message by the name of its payload's schema, with what it is.
const ALL: [(&str, Headers, &str); 12] = [
    (schema::RUN_REQUESTED, Headers::Request, "Asks for a run of a scenario."),
    (schema::CANCEL_REQUESTED, Headers::Query, "Asks for a run, or every run of a batch, to be stopped."),
    (schema::RUN_STARTED, Headers::Event, "A run began."),
    (schema::RUN_MESSAGE, Headers::Event, "Something was said in a run."),
    (schema::RUN_COMPLETED, Headers::Event, "The one outcome of a run."),
    (schema::RUN_TELEMETRY_DELIVERED, Headers::Event, "What became of spans that the outcome calls spooled."),
    (
        schema::RUN_DEAD_LETTERED,
        Headers::DeadLetter,
        "A request that can never be run, with its reason and its bytes.",
    ),
    (schema::SCHEDULE_REPLY, Headers::Answer, "The receipt: scheduled, or why not."),
    (schema::CANCEL_REPLY, Headers::Answer, "The request to cancel is stored, or the run is over."),
    (schema::STATUS_REQUEST, Headers::Query, "Asks where a run is."),
    (schema::STATUS_REPLY, Headers::Answer, "Where the run is."),
    (schema::ERROR_REPLY, Headers::Error, "Why there is no other answer."),
];

/// Every message.
pub(super) fn all() -> Value {
    let message = |(name, headers, summary): (&str, Headers, &str)| {
        let message = json!({
            "name": name,
            "summary": summary,
            "contentType": subjects::CONTENT_TYPE_JSON,
            "headers": headers.schema(),
            "payload": { "schemaFormat": SCHEMA_FORMAT, "schema": { "$ref": format!("./{}", file_name(name)) } },
        });
        (name.to_owned(), message)
    };
    Value::Object(ALL.into_iter().map(message).collect())
}

impl Headers {
    /// Those that are always there, and those that may be.
    fn names(self) -> (&'static [&'static str], &'static [&'static str]) {
        const TRACE: [&str; 2] = [subjects::HEADER_TRACEPARENT, subjects::HEADER_TRACESTATE];
        match self {
            Self::Request => (&[], &[subjects::HEADER_MESSAGE_ID, TRACE[0], TRACE[1]]),
            Self::Query => (&[], &[]),
            Self::Event => (
                &[
                    subjects::HEADER_MESSAGE_ID,
                    subjects::HEADER_RUN_ID,
                    subjects::HEADER_PROJECT_ID,
                    subjects::HEADER_BATCH_RUN_ID,
                    subjects::HEADER_CONTENT_TYPE,
                ],
                &TRACE,
            ),
            Self::DeadLetter => (&[subjects::HEADER_MESSAGE_ID, subjects::HEADER_CONTENT_TYPE], &[]),
            Self::Answer => (&[], &[subjects::HEADER_SERVICE_ERROR, subjects::HEADER_SERVICE_ERROR_CODE]),
            Self::Error => (&[subjects::HEADER_SERVICE_ERROR, subjects::HEADER_SERVICE_ERROR_CODE], &[]),
        }
    }

    fn schema(self) -> Value {
        let (always, sometimes) = self.names();
        let header = |name: &&str| {
            let description = description(name);
            ((*name).to_owned(), json!({ "type": "string", "description": description }))
        };
        let properties: Map<String, Value> = always.iter().chain(sometimes).map(header).collect();
        json!({ "type": "object", "properties": properties, "required": always })
    }
}

fn description(header: &str) -> &'static str {
    match header {
        subjects::HEADER_MESSAGE_ID => "Idempotency key of the message: `<projectId>:<key>`.",
        subjects::HEADER_RUN_ID => "The run.",
        subjects::HEADER_PROJECT_ID => "The project.",
        subjects::HEADER_BATCH_RUN_ID => "The batch.",
        subjects::HEADER_CONTENT_TYPE => "The payload's media type.",
        subjects::HEADER_TRACEPARENT => "W3C trace context: links the run's trace to the request's.",
        subjects::HEADER_TRACESTATE => "W3C trace state.",
        subjects::HEADER_SERVICE_ERROR => "The error's code, where the answer is one.",
        _ => {
            "The error's number as in HTTP, where the answer is one: 400 is the caller's mistake, 503 passes."
        }
    }
}
