//! What a tool's result says.

use serde::Deserialize;
use serde_json::Value;

use crate::adapters::http::line::Call;
use crate::adapters::http::path::{ReplyPath, words as plain};
use crate::execution::failure::RunFailure;

/// A result, as far as it can be said.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    content: Option<Vec<Block>>,
    structured_content: Option<Value>,
    is_error: Option<bool>,
    result_type: Option<String>,
}

#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    text: Option<String>,
}

/// The words of `result`.
pub(super) fn words(
    call: &Call<'_>,
    result: &Value,
    output: Option<&ReplyPath>,
) -> Result<String, RunFailure> {
    let read = ToolResult::deserialize(result).map_err(|error| call.invalid(&error.to_string()))?;
    let said = read.said();
    if let Some(failure) = read.failure(call, &said) {
        return Err(failure);
    }
    let Some(path) = output else { return Ok(said) };
    path.first(result).map(plain).ok_or_else(|| call.nothing_at(&path.to_string()))
}

impl ToolResult {
    /// Why it is no answer, if it is none.
    fn failure(&self, call: &Call<'_>, said: &str) -> Option<RunFailure> {
        if self.is_error.unwrap_or_default() {
            return Some(call.agent_error(said));
        }
        if self.result_type.as_deref() == Some("input_required") {
            return Some(call.agent_error("the tool asks for input that only its user could give"));
        }
        let is_empty = self.content.is_none() && self.structured_content.is_none();
        is_empty.then(|| call.invalid("the tool's result has no content"))
    }

    /// Its texts; its structure where it has none. Pictures and sounds say nothing to a conversation.
    fn said(&self) -> String {
        let texts: Vec<&str> = self.content.iter().flatten().filter_map(Block::text).collect();
        match &self.structured_content {
            Some(structure) if texts.is_empty() => plain(structure),
            _ => texts.join("\n"),
        }
    }
}

impl Block {
    fn text(&self) -> Option<&str> {
        self.text.as_deref().or_else(|| self.resource.as_ref()?.text.as_deref())
    }
}
