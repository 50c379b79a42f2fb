//! Rules of what a prompt's replies have to be, and of what it adds to requests.

use super::json::{bounded, schema};
use crate::definitions::{Prompt, ResponseFormat};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// Names of providers' requests that have a key of their own in a prompt, with that key.
const OWN_KEYS: [(&str, &str); 13] = [
    ("temperature", "temperature"),
    ("max_tokens", "maxTokens"),
    ("max_completion_tokens", "maxTokens"),
    ("top_p", "topP"),
    ("stop", "stop"),
    ("stop_sequences", "stop"),
    ("seed", "seed"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("reasoning_effort", "reasoningEffort"),
    ("response_format", "responseFormat"),
    ("tools", "tools"),
    ("stream", "stream"),
];
/// Names of providers' requests that are nobody's to set.
const TAKEN: [&str; 13] = [
    "model",
    "messages",
    "system",
    "contents",
    "systemInstruction",
    "system_instruction",
    "n",
    "stream_options",
    "tool_choice",
    "toolConfig",
    "tool_config",
    "functions",
    "function_call",
];

pub(super) fn reply_form(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    if let Some(ResponseFormat::Schema(value)) = &prompt.response_format {
        schema(reader, &field.at("responseFormat").at("schema"), value);
    }
    let extra = field.at("extra");
    bounded(reader, &extra, &prompt.extra.clone().into());
    for name in prompt.extra.keys() {
        let own = OWN_KEYS.iter().find(|(known, _)| known == name);
        if let Some((_, key)) = own {
            reader.report(&extra.key(name), format!("has a key of its own: `{key}` of the prompt"));
        } else if TAKEN.contains(&name.as_str()) {
            reader.report(&extra.key(name), "is written by the worker itself, so it cannot be given");
        }
    }
}
