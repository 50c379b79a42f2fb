//! What a tool's result says.

use serde::Deserialize;
use serde_json::Value;

use crate::adapters::codes;
use crate::adapters::http::output::OutputPath;
use crate::adapters::http::response;
use crate::adapters::presets::call::Call;
use crate::events::Attribution;
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
    result: Value,
    output: Option<&OutputPath>,
) -> Result<String, RunFailure> {
    let read = ToolResult::deserialize(&result).map_err(|error| call.invalid(&error.to_string()))?;
    let said = read.said();
    if read.is_error.unwrap_or_default() {
        return Err(call.agent_error(&said));
    }
    if read.result_type.as_deref() == Some("input_required") {
        return Err(call.agent_error("the tool asks for input that only its user could give"));
    }
    if read.content.is_none() && read.structured_content.is_none() {
        return Err(call.invalid("the tool's result has no content"));
    }
    let Some(path) = output else { return Ok(said) };
    path.first(&result).map(response::words).ok_or_else(|| {
        let message = format!(
            "outputPath '{}' matches nothing in the tool's result from {}",
            path.source(),
            call.place()
        );
        RunFailure::new(codes::OUTPUT_PATH_NO_MATCH, Attribution::Target, message)
            .with_hint("Correct outputPath in the agent's definition, or what the tool answers")
    })
}

impl ToolResult {
    /// Its texts; its structure where it has none. Pictures and sounds say nothing to a conversation.
    fn said(&self) -> String {
        let texts: Vec<&str> = self.content.iter().flatten().filter_map(Block::text).collect();
        match &self.structured_content {
            Some(structure) if texts.is_empty() => response::words(structure),
            _ => texts.join("\n"),
        }
    }
}

impl Block {
    fn text(&self) -> Option<&str> {
        self.text.as_deref().or_else(|| self.resource.as_ref()?.text.as_deref())
    }
}
