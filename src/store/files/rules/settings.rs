//! Rules of how a role's model is to think.

use super::{at_least_one, id, model, prompt_tools, reply_form, some_text, text};
use crate::definitions::{Prompt, Sampling};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The highest temperature that any provider takes.
const MAX_TEMPERATURE: f64 = 2.0;
/// The strongest penalty that any provider takes, for a word or against one.
const MAX_PENALTY: f64 = 2.0;
/// The most texts to stop at: more than any provider takes.
const MAX_STOPS: usize = 16;

pub(in crate::store::files) fn prompt(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    id(reader, &field.at("id"), &prompt.id);
    model(reader, &field.at("model"), prompt.model.as_deref());
    text::prompt(reader, field, prompt);
    let Prompt { temperature, max_tokens, seed, reasoning_effort, .. } = prompt.clone();
    sampling(reader, field, &Sampling { temperature, max_tokens, seed, reasoning_effort });
    words(reader, field, prompt);
    reply_form::reply_form(reader, field, prompt);
    prompt_tools::tools(reader, field, prompt);
}

/// Which words are chosen, and where they end.
fn words(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    match prompt.top_p {
        Some(value) if !(value > 0.0 && value <= 1.0) => {
            reader.report(&field.at("topP"), format!("is {value}; it must be above 0 and at most 1"));
        }
        _ => {}
    }
    penalty(reader, &field.at("frequencyPenalty"), prompt.frequency_penalty);
    penalty(reader, &field.at("presencePenalty"), prompt.presence_penalty);
    let stops = field.at("stop");
    if prompt.stop.len() > MAX_STOPS {
        reader.report(&stops, format!("has {} texts; it can have {MAX_STOPS}", prompt.stop.len()));
    }
    for (index, _) in prompt.stop.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        reader.report(&stops.item(index), "must have a text");
    }
}

fn penalty(reader: &mut Reader<'_>, field: &Field<'_>, value: Option<f64>) {
    match value {
        Some(value) if !(-MAX_PENALTY..=MAX_PENALTY).contains(&value) => {
            reader.report(field, format!("is {value}; it must be -{MAX_PENALTY} to {MAX_PENALTY}"));
        }
        _ => {}
    }
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
