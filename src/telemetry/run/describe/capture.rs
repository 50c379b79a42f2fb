//! Spans without words: what a project asks for whose conversations must not leave the worker.
//!
//! Every span of a run that is done comes by here, with all that was put on it. Numbers pass, and of texts those that are
//! known to be the worker's own, or ids and names of definitions. Nothing that an agent, a model, a customer or a scenario
//! says passes for being put in a new place.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use serde_json::{Map, Value};

use super::super::attributes as key;

/// Texts that pass as they are: words of the worker, and what definitions and requests are known by.
const OURS: [&str; 25] = [
    key::LANGWATCH_ORIGIN,
    key::LANGWATCH_THREAD_ID,
    key::LANGWATCH_SPAN_TYPE,
    key::SCENARIO_ID,
    key::SCENARIO_RUN_ID,
    key::SCENARIO_BATCH_ID,
    key::SCENARIO_SET_ID,
    key::SCENARIO_ROLE,
    key::SCENARIO_TARGET_TYPE,
    key::SCENARIO_TARGET_ID,
    key::SCENARIO_SDK_NAME,
    key::SCENARIO_SDK_VERSION,
    key::SCENARIO_VERDICT,
    key::SCENARIO_CRITERION_ID,
    key::GEN_AI_OPERATION,
    key::GEN_AI_PROVIDER,
    key::GEN_AI_CONVERSATION,
    key::GEN_AI_AGENT_ID,
    key::GEN_AI_AGENT_NAME,
    key::GEN_AI_REQUEST_MODEL,
    key::EVALUATION_LABEL,
    key::GEN_AI_TOOL_TYPE,
    key::SCENARIO_PROVIDER,
    key::SERVER_ADDRESS,
    key::LANGWATCH_ORIGIN_SOURCE,
];
/// Texts that others choose, which pass where they look like a name and not like words.
const NAMES: [&str; 8] = [
    key::LANGWATCH_LABELS,
    key::ERROR_TYPE,
    key::UNBOUND_INPUT_NAMES,
    key::GEN_AI_RESPONSE_ID,
    key::GEN_AI_RESPONSE_MODEL,
    key::GEN_AI_FINISH_REASONS,
    key::GEN_AI_TOOL_NAME,
    key::GEN_AI_TOOL_CALL_ID,
];
/// The members of LangWatch's evaluation that pass.
const OF_EVALUATION: [&str; 7] = ["evaluation_id", "name", "type", "status", "label", "passed", "score"];

/// Beginnings of the names of spans that end in something that definitions are known by, or in nothing of anybody.
const SPAN_NAMES: [&str; 4] = ["langwatch.", "chat ", "invoke_agent ", "execute_tool "];
/// The most bytes of a name.
const MAX_NAME_BYTES: usize = 128;
/// What a name may have beside letters and digits.
const NAME_SIGNS: &str = "_-.:/@+";
/// What a failed span says that has no code.
const NOT_CAPTURED: &str = "not captured";

/// Takes every word out of a span that is not known to be harmless.
pub(in super::super) fn without_words(mut span: Span) -> Span {
    span.attributes.retain_mut(passes);
    span.events.iter_mut().for_each(without_words_of_event);
    if !SPAN_NAMES.iter().any(|known| span.name.starts_with(known)) {
        span.name = operation(&span.name);
    }
    let code = text_of(&span.attributes, key::ERROR_TYPE).map(str::to_owned);
    if let Some(status) = span.status.as_mut().filter(|status| !status.message.is_empty()) {
        status.message = code.unwrap_or_else(|| NOT_CAPTURED.to_owned());
    }
    span
}

/// The first word of a span's name, which says what was done and not to what.
fn operation(name: &str) -> String {
    let operation = name.split_whitespace().next().filter(|word| is_name(word));
    operation.unwrap_or(NOT_CAPTURED).to_owned()
}

/// An evaluation goes by the criterion's id and not by its text, into which parameters may have been filled.
fn without_words_of_event(event: &mut Event) {
    let criterion = text_of(&event.attributes, key::SCENARIO_CRITERION_ID).map(str::to_owned);
    event.attributes.retain_mut(|attribute| match attribute.key.as_str() {
        key::EVALUATION_NAME => replace(attribute, criterion.clone()),
        key::JSON_ENCODED_EVENT => {
            let evaluation = text(attribute).and_then(evaluation);
            replace(attribute, evaluation)
        }
        _ => passes(attribute),
    });
}

fn passes(attribute: &mut KeyValue) -> bool {
    let key = attribute.key.as_str();
    let is_ours = OURS.contains(&key);
    let may_be_name = NAMES.contains(&key);
    let passes = |text: &str| is_ours || (may_be_name && is_name(text));
    attribute
        .value
        .as_mut()
        .and_then(|value| value.value.as_mut())
        .is_some_and(|value| harmless(value, &passes))
}

/// Of a list, what passes stays.
fn harmless(value: &mut Any, passes: &impl Fn(&str) -> bool) -> bool {
    match value {
        Any::BoolValue(_) | Any::IntValue(_) | Any::DoubleValue(_) => true,
        Any::StringValue(text) => passes(text),
        Any::ArrayValue(list) => {
            list.values.retain_mut(|value| value.value.as_mut().is_some_and(|value| harmless(value, passes)));
            !list.values.is_empty()
        }
        _ => false,
    }
}

/// Whether a text looks like a name, and not like words.
pub(in super::super) fn is_name(text: &str) -> bool {
    let fits = (1..=MAX_NAME_BYTES).contains(&text.len());
    fits && text.chars().all(|sign| sign.is_ascii_alphanumeric() || NAME_SIGNS.contains(sign))
}

/// LangWatch's evaluation without the reasons in it.
fn evaluation(event: &str) -> Option<String> {
    let known: Map<String, Value> = serde_json::from_str(event).ok()?;
    let kept = known.into_iter().filter(|(name, _)| OF_EVALUATION.contains(&name.as_str()));
    Some(Value::Object(kept.collect()).to_string())
}

fn text(attribute: &KeyValue) -> Option<&str> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.key == key).and_then(text)
}

/// False if there is nothing to put in its place.
fn replace(attribute: &mut KeyValue, text: Option<String>) -> bool {
    let is_there = text.is_some();
    attribute.value = text.map(|text| AnyValue { value: Some(Any::StringValue(text)) });
    is_there
}
