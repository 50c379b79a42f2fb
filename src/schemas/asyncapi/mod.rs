//! The `AsyncAPI` document: which payload travels where, with which headers, and who answers.
//!
//! Specification: <https://www.asyncapi.com/docs/reference/specification/v3.0.0>.

mod channels;
mod messages;
mod operations;

use serde_json::{Value, json};

/// The version of the specification.
const VERSION: &str = "3.0.0";

/// The document, as seen from the worker: it receives requests and sends events.
pub(super) fn document() -> Value {
    json!({
        "asyncapi": VERSION,
        "info": {
            "title": "Scenario Worker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs of AI-agent scenarios: ask for them, cancel them, follow them. Fields may be added to any payload, \
                            so readers ignore what they do not know.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": crate::events::subjects::CONTENT_TYPE_JSON,
        "servers": {
            "broker": { "host": "127.0.0.1:4222", "protocol": "nats", "description": "A NATS server 2.11 or newer with JetStream." },
        },
        "channels": channels::all(),
        "operations": operations::all(),
        "components": { "messages": messages::all() },
    })
}

/// A reference to something of this document.
fn reference(path: &[&str]) -> Value {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}
