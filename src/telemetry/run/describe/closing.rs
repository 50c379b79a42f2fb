//! How spans end.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use serde_json::json;

use super::super::attributes as key;
use super::super::content::{cut, envelope, output_messages, said};
use super::resource::strings;
use super::{Closing, verdict};
use crate::events::{TokenUsage, ToolCall};
use crate::execution::types::{ChatReply, Judgement, SpanEnd, SpecialTokens};

/// What else decides how a span ends.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Circumstances<'a> {
    /// The run, which names its evaluation.
    pub(in super::super) run_id: &'a str,
    /// Model calls below the span report their own tokens; the sum must not count twice.
    pub(in super::super) tokens_below: bool,
    /// The judgement is already on another span, as events.
    pub(in super::super) evaluated: bool,
}

/// How a span ends.
pub(in super::super) fn closing(end: &SpanEnd, circumstances: Circumstances<'_>) -> Closing {
    match end {
        SpanEnd::Done => ok(Vec::new()),
        SpanEnd::Said { content, tool_calls, usage, first_chunk } => {
            let speech = speech(content, tool_calls, *usage, circumstances.tokens_below);
            ok(speech.into_iter().chain(begun(*first_chunk)).collect())
        }
        SpanEnd::Replied(reply) => ok(answer(reply)),
        SpanEnd::Executed { result } => ok(vec![
            KeyValue::new(key::GEN_AI_TOOL_RESULT, cut(result)),
            KeyValue::new(key::LANGWATCH_OUTPUT, envelope("text", &cut(result).into())),
        ]),
        SpanEnd::Continued { reasoning } => {
            let output = json!({ "continue": true, "reasoning": cut(reasoning) });
            ok(vec![KeyValue::new(key::LANGWATCH_OUTPUT, envelope("json", &output))])
        }
        SpanEnd::Judged(judgement) => judged(judgement, circumstances),
        SpanEnd::Failed { code, message } => failed(code, &cut(message)),
    }
}

fn judged(judgement: &Judgement, circumstances: Circumstances<'_>) -> Closing {
    let events =
        if circumstances.evaluated { Vec::new() } else { verdict::events(judgement, circumstances.run_id) };
    Closing { events, ..ok(verdict::attributes(judgement)) }
}

/// How a span ends that nobody ended.
pub(in super::super) fn abandoned() -> Closing {
    failed(key::ABANDONED, "the work was dropped before it ended: cancelled, timed out or panicked")
}

fn ok(attributes: Vec<KeyValue>) -> Closing {
    Closing { attributes, events: Vec::new(), status: Status::Ok }
}

fn failed(code: &str, message: &str) -> Closing {
    Closing {
        attributes: vec![KeyValue::new(key::ERROR_TYPE, code.to_owned())],
        events: Vec::new(),
        status: Status::error(message.to_owned()),
    }
}

fn speech(content: &str, calls: &[ToolCall], usage: TokenUsage, tokens_below: bool) -> Vec<KeyValue> {
    let output = if calls.is_empty() {
        envelope("text", &cut(content).into())
    } else {
        envelope("chat_messages", &json!([said("assistant", content, calls)]))
    };
    let mut attributes = vec![KeyValue::new(key::LANGWATCH_OUTPUT, output)];
    if !tokens_below {
        attributes.extend(tokens(usage));
    }
    attributes
}

fn begun(after: Option<Duration>) -> Option<KeyValue> {
    after.map(|after| KeyValue::new(key::GEN_AI_FIRST_CHUNK, after.as_secs_f64()))
}

fn answer(reply: &ChatReply) -> Vec<KeyValue> {
    let output = json!([said("assistant", &reply.content, &reply.tool_calls)]);
    let mut attributes = vec![
        KeyValue::new(key::LANGWATCH_OUTPUT, envelope("chat_messages", &output)),
        KeyValue::new(key::GEN_AI_OUTPUT, output_messages(reply)),
    ];
    attributes.extend(tokens(reply.usage));
    attributes.extend(special(&reply.special));
    attributes.extend(begun(reply.first_chunk));
    attributes.extend(reply.response_id.clone().map(|id| KeyValue::new(key::GEN_AI_RESPONSE_ID, id)));
    attributes.extend(reply.model.clone().map(|model| KeyValue::new(key::GEN_AI_RESPONSE_MODEL, model)));
    let reasons = reply.finish_reason.clone().map(|reason| strings(&[reason]));
    attributes.extend(reasons.map(|reasons| KeyValue::new(key::GEN_AI_FINISH_REASONS, reasons)));
    attributes
}

fn special(tokens: &SpecialTokens) -> impl Iterator<Item = KeyValue> {
    let told = [
        (key::GEN_AI_CACHE_READ_TOKENS, tokens.cache_read),
        (key::GEN_AI_CACHE_CREATION_TOKENS, tokens.cache_creation),
        (key::GEN_AI_REASONING_TOKENS, tokens.reasoning),
    ];
    told.into_iter().filter_map(|(key, count)| Some(KeyValue::new(key, i64::try_from(count?).ok()?)))
}

/// Nothing where nothing was reported: zero would say that it cost nothing.
fn tokens(usage: TokenUsage) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if usage.input_tokens != 0 || usage.output_tokens != 0 {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        attributes.extend([
            KeyValue::new(key::GEN_AI_INPUT_TOKENS, count(usage.input_tokens)),
            KeyValue::new(key::GEN_AI_OUTPUT_TOKENS, count(usage.output_tokens)),
        ]);
    }
    if !usage.cost.is_zero() {
        attributes.push(KeyValue::new(key::LANGWATCH_COST, f64::from(usage.cost)));
    }
    attributes
}
