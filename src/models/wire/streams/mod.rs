//! Answers that come bit by bit, put together to what they would be in one piece.

mod anthropic;
mod gemini;
mod openai;

use serde_json::Value;

use crate::stream::SseEvent;

pub(super) use anthropic::MessageEvents;
pub(super) use gemini::Responses;
pub(super) use openai::Chunks;

/// An answer so far.
pub(in crate::models) trait Hearing: Send {
    /// Takes in one event.
    fn take(&mut self, event: &SseEvent) -> Result<(), StreamFault>;

    /// Whether anything was said yet, or any tool called.
    fn has_begun(&self) -> bool;

    /// Whether the provider said that this is all.
    fn is_complete(&self) -> bool;

    /// The whole answer; `None` if its end is missing.
    fn finish(self: Box<Self>) -> Option<Value>;
}

/// Why a stream is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::models) enum StreamFault {
    /// An event is not JSON.
    #[error(transparent)]
    NotJson(#[from] serde_json::Error),
    /// It says what cannot be.
    #[error("{0}")]
    Impossible(String),
    /// The provider says that it failed.
    #[error("{words}")]
    Reported {
        /// In its words.
        words: String,
        /// Whether another try may succeed.
        passing: bool,
    },
}

/// The JSON of an event, unless it is an error.
fn json_of(event: &SseEvent) -> Result<Value, StreamFault> {
    let value: Value = serde_json::from_str(&event.data)?;
    if !value.is_object() {
        return Err(StreamFault::Impossible("an event of the stream is no JSON object".to_owned()));
    }
    match value.get("error") {
        None | Some(Value::Null) => Ok(value),
        Some(error) => {
            let words = error.get("message").or(Some(error)).map(text_of).unwrap_or_default();
            Err(StreamFault::Reported { words, passing: is_passing(error) })
        }
    }
}

/// What servers call the failures that pass, and the statuses that they stand for.
const PASSING_TYPES: [&str; 4] = ["overloaded_error", "api_error", "rate_limit_error", "server_error"];
const PASSING_CODES: [u64; 4] = [429, 500, 502, 503];

fn is_passing(error: &Value) -> bool {
    let kind = error.get("type").and_then(Value::as_str).unwrap_or_default();
    let code = error.get("code").and_then(Value::as_u64).unwrap_or_default();
    PASSING_TYPES.contains(&kind) || PASSING_CODES.contains(&code)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Keeps what was said last.
fn keep(kept: &mut Value, said: &Value) {
    if !said.is_null() {
        kept.clone_from(said);
    }
}

/// Puts the text of `said` behind that of `field`.
fn append(whole: &mut Value, field: &str, said: &Value) {
    let (Some(said), Some(whole)) = (said.as_str(), whole.as_object_mut()) else { return };
    match whole.get_mut(field) {
        Some(Value::String(text)) => text.push_str(said),
        _ => drop(whole.insert(field.to_owned(), said.into())),
    }
}

#[cfg(test)]
mod tests;
