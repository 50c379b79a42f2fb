//! JSON-RPC 2.0, as A2A and MCP use it. Specification: <https://www.jsonrpc.org/specification>.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::adapters::http::line::{Answer, Call};
use crate::execution::failure::RunFailure;

/// An error in the server's words.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct RpcError {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    pub(super) data: Value,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)?;
        if self.data.is_null() { Ok(()) } else { write!(f, ": {}", self.data) }
    }
}

/// What a message says to whoever asked.
pub(super) enum Reply {
    Result(Value),
    Error(RpcError),
    /// A request or a notification of the server's own.
    Aside,
}

/// Asks for `method`.
pub(super) fn request(id: &str, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Tells of `method`, and expects nothing.
pub(super) fn notification(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method })
}

/// The error that a body is, if it is one.
pub(super) fn error_in(body: Option<&Value>) -> Option<RpcError> {
    body?.get("error").and_then(|error| RpcError::deserialize(error).ok())
}

/// What `message` says to who asked as `id`.
pub(super) fn reply(mut message: Value, id: &str) -> Result<Reply, String> {
    if !message.is_object() {
        return Err(format!("it is no JSON-RPC message: {message}"));
    }
    if let Some(error) = message.get("error").filter(|error| !error.is_null()) {
        let read = RpcError::deserialize(error);
        return read.map(Reply::Error).map_err(|error| format!("its JSON-RPC error: {error}"));
    }
    if message.get("method").is_some() {
        return Ok(Reply::Aside);
    }
    if let Some(other) = message.get("id").filter(|other| !other.is_null() && *other != id) {
        return Err(format!("it answers the request {other}, which was not asked"));
    }
    match message.get_mut("result").map(Value::take) {
        Some(result) => Ok(Reply::Result(result)),
        None => Err("its JSON-RPC message has neither a result nor an error".to_owned()),
    }
}

/// What the server answers to who asked as `id`, at once or at the end of a stream.
pub(super) async fn settle(
    call: &Call<'_>,
    answer: Answer<'_>,
    id: &str,
) -> Result<Result<Value, RpcError>, RunFailure> {
    let read = |message| reply(message, id).map_err(|problem| call.invalid(&problem));
    if !answer.is_events() {
        return match read(answer.json().await?)? {
            Reply::Result(result) => Ok(Ok(result)),
            Reply::Error(error) => Ok(Err(error)),
            Reply::Aside => Err(call.invalid("it is no answer but a request")),
        };
    }
    let mut events = answer.events();
    while let Some((_, message)) = events.next_json().await? {
        match read(message)? {
            Reply::Result(result) => return Ok(Ok(result)),
            Reply::Error(error) => return Ok(Err(error)),
            Reply::Aside => {}
        }
    }
    Err(events.broke_off())
}
