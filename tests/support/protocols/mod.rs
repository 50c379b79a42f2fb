//! Doubles of servers that speak the protocols of presets, on real sockets.

pub(crate) mod a2a;
pub(crate) mod langgraph;
pub(crate) mod mcp;
pub(crate) mod websocket;

use serde_json::{Value, json};

use super::http_agent::Answer;

/// A stream of events, each with a name or without.
pub(crate) fn events<'a>(events: impl IntoIterator<Item = (&'a str, Value)>) -> Answer {
    let event = |(name, data): (&str, Value)| {
        let named = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
        format!("{named}data: {data}\n\n")
    };
    let body: Vec<String> = events.into_iter().map(event).collect();
    Answer::typed("text/event-stream", format!(": hello\n\n{}", body.concat()))
}

/// What a JSON-RPC server does about a request.
pub(crate) enum Rpc {
    Result(Value),
    Error(i64, &'static str),
    /// Several results, as events.
    Stream(Vec<Value>),
    /// Something else.
    Raw(Answer),
}

impl Rpc {
    /// The answer to `request`.
    pub(crate) fn answer(self, request: &Value) -> Answer {
        let id = &request["id"];
        let result = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        match self {
            Self::Result(value) => Answer::json(&result(value)),
            Self::Error(code, message) => Answer::json(
                &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }),
            ),
            Self::Stream(values) => events(values.into_iter().map(|value| ("", result(value)))),
            Self::Raw(answer) => answer,
        }
    }
}
