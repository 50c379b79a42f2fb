//! Rules of a prompt's tools.

use serde_json::Value;

use super::json::{bounded, schema};
use super::{at_most_chars, between};
use crate::definitions::{Prompt, PromptTool, ToolChoice};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The most tools of a prompt: each is told with every call.
const MAX_TOOLS: usize = 64;
/// The longest name of a tool, in characters: what every provider takes.
const MAX_NAME_CHARS: usize = 64;
/// The longest description of a tool, in characters.
const MAX_DESCRIPTION_CHARS: usize = 4096;
/// The most rounds of a turn: each is a call that is paid.
const MAX_ROUNDS: u32 = 50;

pub(super) fn tools(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    let list = field.at("tools");
    if prompt.tools.len() > MAX_TOOLS {
        reader.report(&list, format!("has {} tools; it can have {MAX_TOOLS}", prompt.tools.len()));
    }
    for (index, written) in prompt.tools.iter().enumerate() {
        let is_first = !prompt.tools[..index].iter().any(|other| other.name == written.name);
        tool(reader, &list.item(index), written, is_first);
    }
    choice(reader, &field.at("toolChoice"), prompt);
    between(reader, &field.at("maxToolRounds"), prompt.max_tool_rounds, 1, MAX_ROUNDS);
    if prompt.max_tool_rounds.is_some() && prompt.tools.iter().all(|tool| tool.result.is_none()) {
        let reason = "would never apply: no tool of the prompt has a `result` to go on with";
        reader.report(&field.at("maxToolRounds"), reason);
    }
}

fn tool(reader: &mut Reader<'_>, field: &Field<'_>, tool: &PromptTool, is_first: bool) {
    let name = field.at("name");
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins_well = tool.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins_well || tool.name.len() > MAX_NAME_CHARS || !tool.name.chars().all(is_known) {
        let rule = "a letter or `_`, then letters, digits, `_` and `-`";
        reader.report(&name, format!("must be {rule}, at most {MAX_NAME_CHARS} characters"));
    }
    if !is_first {
        reader.report(&name, format!("'{}' is the name of another tool", tool.name));
    }
    at_most_chars(reader, &field.at("description"), &tool.description, MAX_DESCRIPTION_CHARS);
    parameters(reader, &field.at("parameters"), &tool.parameters);
    if let Some(result) = &tool.result {
        answer(reader, &field.at("result"), result);
    }
}

/// Arguments have names, so the schema is that of an object.
fn parameters(reader: &mut Reader<'_>, field: &Field<'_>, value: &Value) {
    schema(reader, field, value);
    if value.is_object() && value["type"] != "object" {
        reader.report(field, "must be a JSON Schema with `type: object`");
    }
}

fn answer(reader: &mut Reader<'_>, field: &Field<'_>, result: &Value) {
    if !bounded(reader, field, result) {
        return;
    }
    if let Some(Err(cause)) = reader.surroundings.texts.map(|texts| texts.check_result(result)) {
        reader.report(field, format!("is no template that can be used: {cause}"));
    }
}

fn choice(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    match &prompt.tool_choice {
        Some(_) if prompt.tools.is_empty() => {
            reader.report(field, "has nothing to choose from: the prompt has no `tools`");
        }
        Some(ToolChoice::Tool(name)) if !prompt.tools.iter().any(|tool| tool.name == *name) => {
            reader.report(field, format!("'{name}' is no tool of the prompt"));
        }
        _ => {}
    }
}
