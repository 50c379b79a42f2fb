use serde_json::json;

use super::*;

fn rules(definition: Value) -> ToolCallRules {
    ToolCallRules::read(&serde_json::from_value(definition).unwrap()).unwrap()
}

fn openai() -> ToolCallRules {
    rules(json!({
        "path": "$.choices[0].delta.tool_calls[*]", "name": "$.function.name", "arguments": "$.function.arguments",
    }))
}

fn calls(rules: &ToolCallRules, joining: Joining, replies: &[Value]) -> Result<Vec<ToolCall>, String> {
    let mut calls = ToolCalls::new(Some(rules), joining);
    for reply in replies {
        calls.take(reply)?;
    }
    calls.finish()
}

fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments }
}

#[test]
fn arguments_are_a_value_or_its_json() {
    let rules = rules(json!({ "path": "$.calls[*]" }));
    for (arguments, expected) in [
        (json!({ "order": 7 }), json!({ "order": 7 })),
        (json!("{\"order\": 7}"), json!({ "order": 7 })),
        (json!("[1]"), json!([1])),
        (json!("not json {"), json!("not json {")),
        (json!(""), json!({})),
        (Value::Null, json!({})),
        (json!(5), json!(5)),
    ] {
        let reply = json!({ "calls": [{ "id": 3, "name": "refund", "arguments": arguments }] });
        let found = calls(&rules, Joining::Whole, &[reply]).unwrap();
        assert_eq!(found, [call("3", "refund", expected)]);
    }
}

#[test]
fn whole_calls_stay_apart_even_where_they_look_the_same() {
    let rules = rules(json!({ "path": "$[*]" }));
    let reply = json!([{ "name": "look" }, { "name": "look" }, null]);
    let look = call("", "look", json!({}));
    assert_eq!(calls(&rules, Joining::Whole, &[reply]).unwrap(), [look.clone(), look]);
    assert_eq!(calls(&rules, Joining::Whole, &[json!([])]).unwrap(), []);
}

#[test]
fn a_call_without_a_name_is_an_error() {
    let rules = rules(json!({ "path": "$.calls[*]", "name": "$.tool" }));
    let problem = calls(&rules, Joining::Whole, &[json!({ "calls": [{ "name": "look" }] })]).unwrap_err();
    assert_eq!(problem, "a tool call has no name: toolCalls.name '$.tool' matches nothing in it");
}

#[test]
fn pieces_of_a_stream_become_calls() {
    let piece = |piece: Value| json!({ "choices": [{ "delta": { "tool_calls": [piece] } }] });
    let stream = [
        piece(json!({ "index": 0, "id": "a", "function": { "name": "look", "arguments": "" } })),
        piece(json!({ "index": 1, "id": "b", "function": { "name": "refund", "arguments": "{\"or" } })),
        piece(json!({ "index": 0, "function": { "arguments": "{\"q\":" } })),
        piece(json!({ "index": 1, "function": { "arguments": "der\":7}" } })),
        piece(json!({ "index": 0, "function": { "arguments": "1}" } })),
        json!({ "choices": [{ "delta": { "content": "words" } }] }),
    ];
    let expected = [call("a", "look", json!({ "q": 1 })), call("b", "refund", json!({ "order": 7 }))];
    assert_eq!(calls(&openai(), Joining::Append, &stream).unwrap(), expected);
}

#[test]
fn a_piece_that_says_nothing_of_itself_goes_on_with_the_last_call() {
    let rules = rules(json!({ "path": "$.call" }));
    let stream = [
        json!({ "call": { "name": "look", "arguments": "{\"q\"" } }),
        json!({ "call": { "arguments": ":1}" } }),
        json!({ "call": { "name": "look" } }),
    ];
    let expected = [call("", "look", json!({ "q": 1 })), call("", "look", json!({}))];
    assert_eq!(calls(&rules, Joining::Append, &stream).unwrap(), expected);
}

#[test]
fn a_later_state_of_a_call_replaces_the_earlier_one() {
    let rules = rules(json!({ "path": "$.calls[*]" }));
    let state = |arguments: &str| json!({ "calls": [{ "id": "a", "name": "look", "arguments": arguments }] });
    let stream = [state("{\"q\""), state("{\"q\":1}")];
    assert_eq!(calls(&rules, Joining::Replace, &stream).unwrap(), [call("a", "look", json!({ "q": 1 }))]);
}

#[test]
fn there_is_an_end_to_calls() {
    let rules = rules(json!({ "path": "$[*]" }));
    let many: Vec<Value> = (0..=MOST_CALLS).map(|n| json!({ "name": n.to_string() })).collect();
    assert!(calls(&rules, Joining::Whole, &[Value::from(many)]).unwrap_err().contains("more than 256"));
}
