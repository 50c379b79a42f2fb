//! Rules of how a role's model is to think.

use super::{at_least_one, id, model, some_text, text};
use crate::definitions::{Prompt, Sampling};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The highest temperature that any provider takes.
const MAX_TEMPERATURE: f64 = 2.0;

pub(in crate::store::files) fn prompt(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    id(reader, &field.at("id"), &prompt.id);
    model(reader, &field.at("model"), prompt.model.as_deref());
    text::prompt(reader, field, prompt);
    let Prompt { temperature, max_tokens, seed, reasoning_effort, .. } = prompt.clone();
    sampling(reader, field, &Sampling { temperature, max_tokens, seed, reasoning_effort });
}

/// Settings that are keys of `field`.
pub(super) fn sampling(reader: &mut Reader<'_>, field: &Field<'_>, settings: &Sampling) {
    match settings.temperature {
        Some(value) if !(0.0..=MAX_TEMPERATURE).contains(&value) => {
            reader.report(&field.at("temperature"), format!("is {value}; it must be 0 to {MAX_TEMPERATURE}"));
        }
        _ => {}
    }
    at_least_one(reader, &field.at("maxTokens"), settings.max_tokens.map(u64::from));
    if let Some(effort) = &settings.reasoning_effort {
        some_text(reader, &field.at("reasoningEffort"), effort);
    }
}
