use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::models::wire::{Wire, anthropic, gemini, openai};
use crate::stream::DEFAULT_EVENT_NAME;

fn event(data: String) -> SseEvent {
    SseEvent { name: DEFAULT_EVENT_NAME.to_owned(), data }
}

fn heard(mut hearing: Box<dyn Hearing>, events: &[Value]) -> Result<Option<Value>, StreamFault> {
    for said in events {
        let data = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        hearing.take(&event(data))?;
    }
    Ok(hearing.finish())
}

fn delta(delta: &Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta }] })
}

fn calls(fragments: &Value) -> Value {
    delta(&json!({ "tool_calls": fragments }))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn fragments_of_calls_are_joined_by_index_else_by_id_else_with_the_last() {
    let hearings = [
        vec![
            calls(&json!([{ "index": 0, "id": "a", "function": { "name": "one", "arguments": "" } }])),
            calls(&json!([{ "index": 1, "id": "b", "function": { "name": "two", "arguments": "{\"n\":" } }])),
            calls(
                &json!([{ "index": 0, "function": { "arguments": "{}" } }, { "index": 1, "function": { "arguments": "2}" } }]),
            ),
        ],
        vec![
            calls(&json!([{ "id": "a", "function": { "name": "one", "arguments": "{" } }])),
            calls(&json!([{ "id": "a", "function": { "arguments": "}" } }])),
            calls(&json!([{ "id": "b", "function": { "name": "two", "arguments": { "n": 2 } } }])),
        ],
        vec![
            calls(&json!([{ "id": "a", "function": { "name": "one" } }])),
            calls(&json!([{ "function": { "arguments": "{}" } }])),
            calls(&json!([{ "id": "b", "function": { "name": "two", "arguments": "{\"n\":2}" } }])),
        ],
    ];
    for mut events in hearings {
        events.push("[DONE]".into());
        let answer = heard(Box::new(Chunks::default()), &events).unwrap().unwrap();
        let reply = openai::ChatCompletions.reply(answer).unwrap();
        let found: Vec<_> =
            reply.tool_calls.iter().map(|c| (&*c.id, &*c.name, c.arguments.clone())).collect();
        assert_eq!(found, [("a", "one", json!({})), ("b", "two", json!({ "n": 2 }))]);
    }
    let contradiction = calls(&json!([{ "index": 0, "id": "a" }, { "index": 0, "id": "b" }]));
    let fault = heard(Box::new(Chunks::default()), &[contradiction]).unwrap_err();
    assert_eq!(fault.to_string(), "two tool calls of the stream have the index 0");
}

#[test]
fn another_choice_is_nobodys_words() {
    let other = json!({ "choices": [{ "index": 1, "delta": { "content": "no" } }] });
    let events = [delta(&json!({ "content": "yes" })), other, "[DONE]".into()];
    let answer = heard(Box::new(Chunks::default()), &events).unwrap().unwrap();
    assert_eq!(openai::ChatCompletions.reply(answer).unwrap().content, "yes");
}

#[test]
fn a_stream_without_its_end_is_no_answer() {
    let start = json!({ "type": "message_start", "message": { "content": [] } });
    let part = json!({ "candidates": [{ "content": { "parts": [{ "text": "hi" }] } }] });
    let hearings: [(Box<dyn Hearing>, Value); 3] = [
        (Box::new(Chunks::default()), delta(&json!({ "content": "hi" }))),
        (Box::new(MessageEvents::default()), start),
        (Box::new(Responses::default()), part),
    ];
    for (hearing, said) in hearings {
        assert_eq!(heard(hearing, &[said]).unwrap(), None);
    }
    let only_the_end = [json!({ "type": "message_stop" })];
    assert_eq!(heard(Box::new(MessageEvents::default()), &only_the_end).unwrap(), None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "the stream and what comes of it belong side by side")]
fn thoughts_are_not_said_but_kept_with_their_signatures() {
    let block = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let more =
        |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let events = [
        json!({ "type": "message_start", "message": { "id": "m", "usage": { "input_tokens": 8, "output_tokens": 1 } } }),
        block(0, json!({ "type": "thinking", "thinking": "" })),
        more(0, json!({ "type": "thinking_delta", "thinking": "hm" })),
        more(0, json!({ "type": "signature_delta", "signature": "s" })),
        block(1, json!({ "type": "tool_use", "id": "t", "name": "look", "input": {} })),
        more(1, json!({ "type": "input_json_delta", "partial_json": "{\"n\"" })),
        more(1, json!({ "type": "input_json_delta", "partial_json": ":1}" })),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 9 } }),
        json!({ "type": "message_stop" }),
    ];
    let answer = heard(Box::new(MessageEvents::default()), &events).unwrap().unwrap();
    let reply = anthropic::Messages.reply(answer).unwrap();
    assert_eq!((reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens), ("", 8, 9));
    assert_eq!(
        (&reply.tool_calls[0].arguments, reply.finish_reason.as_deref()),
        (&json!({ "n": 1 }), Some("tool_use"))
    );
    let verbatim = json!([
        { "type": "thinking", "thinking": "hm", "signature": "s" },
        { "type": "tool_use", "id": "t", "name": "look", "input": { "n": 1 } },
    ]);
    assert_eq!(reply.verbatim, Some(verbatim));
}

#[test]
fn errors_in_a_stream_are_the_providers_words_and_some_of_them_pass() {
    for (error, words, passing) in [
        (json!({ "type": "overloaded_error", "message": "Overloaded" }), "Overloaded", true),
        (json!({ "code": 503, "message": "later" }), "later", true),
        (json!({ "type": "invalid_request_error", "message": "no" }), "no", false),
        (json!("no"), "no", false),
    ] {
        let fault = json_of(&event(json!({ "type": "error", "error": error }).to_string())).unwrap_err();
        let StreamFault::Reported { words: said, passing: passes } = fault else { panic!("{fault}") };
        assert_eq!((said.as_str(), passes), (words, passing));
    }
}

/// Words that some API understands.
const WORDS: [&str; 9] = [
    "",
    "[DONE]",
    "text",
    "tool_use",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "message_stop",
];
const KEYS: [&str; 17] = [
    "type",
    "index",
    "delta",
    "choices",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "message",
    "usage",
    "content_block",
    "candidates",
    "parts",
    "text",
    "finishReason",
    "partial_json",
    "stop_reason",
];

fn json_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(&WORDS[..]).prop_map(Value::from);
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), word];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(&KEYS[..]).prop_map(str::to_owned);
        let entries = prop::collection::vec((key, inner.clone()), 0..4);
        let list = prop::collection::vec(inner, 0..3).prop_map(Value::from);
        prop_oneof![list, entries.prop_map(|entries| entries.into_iter().collect())]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn whatever_a_server_sends_is_an_answer_or_a_fault(events in prop::collection::vec(json_value(), 0..6)) {
        for (wire, hearing) in [
            (&openai::ChatCompletions as &dyn Wire, Box::new(Chunks::default()) as Box<dyn Hearing>),
            (&anthropic::Messages, Box::new(MessageEvents::default())),
            (&gemini::GenerateContent, Box::new(Responses::default())),
        ] {
            if let Ok(Some(answer)) = heard(hearing, &events) {
                drop(wire.reply(answer));
            }
        }
    }
}
