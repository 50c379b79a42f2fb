use serde_json::{Value, json};

use super::*;

fn check(written: Value) -> Check {
    serde_json::from_value(written).unwrap()
}

fn refusal(written: Value) -> String {
    serde_json::from_value::<Check>(written).unwrap_err().to_string()
}

#[test]
#[expect(clippy::too_many_lines, reason = "every rule, in each of its forms")]
fn every_rule_is_stored_as_it_is_written() {
    for written in [
        json!({ "contains": "refund" }),
        json!({ "name": "Both", "required": true, "on": "last", "ignoreCase": true, "contains": ["a", "b"] }),
        json!({ "notContains": ["guarantee"], "on": "first" }),
        json!({ "matches": "\\d+ days" }),
        json!({ "notMatches": "(?i)as an ai", "on": "every" }),
        json!({ "jsonPath": { "path": "$.status" } }),
        json!({ "jsonPath": { "path": "$.status", "equals": null } }),
        json!({ "jsonPath": { "path": "$.total", "equals": 5.5, "matches": "5" }, "on": "any" }),
        json!({ "jsonPath": { "path": "$.error", "exists": false } }),
        json!({ "jsonSchema": { "type": "object" } }),
        json!({ "toolCalled": "refund" }),
        json!({ "toolCalled": { "name": "refund", "arguments": { "amount": 5 }, "times": 2 } }),
        json!({ "toolCalled": { "name": "refund", "times": { "min": 1, "max": 3 } } }),
        json!({ "toolNotCalled": "delete_account" }),
        json!({ "toolsInOrder": ["find_order", "refund"] }),
        json!({ "turns": { "max": 4 } }),
        json!({ "replyLatencyMs": { "max": 2000 } }),
        json!({ "totalLatencyMs": { "max": 9000 } }),
        json!({ "tokens": { "max": 5000, "role": "userSimulator" } }),
        json!({ "costUsd": { "max": 0.05 } }),
    ] {
        let read = check(written.clone());
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        assert_eq!(check(serde_json::to_value(&read).unwrap()), read);
    }
}

#[test]
fn a_check_has_exactly_one_rule() {
    assert!(refusal(json!({ "name": "empty" })).starts_with("a check must have a rule: one of contains, "));
    assert!(refusal(json!({ "contains": null })).starts_with("a check must have a rule"));
    let both = refusal(json!({ "contains": "a", "turns": { "max": 2 } }));
    assert!(both.contains("this one has `contains` and `turns`: write a check for each"), "{both}");
}

#[test]
fn a_key_that_does_not_belong_to_the_rule_is_refused() {
    assert!(refusal(json!({ "contain": "a" })).contains("unknown field `contain`"));
    assert!(refusal(json!({ "turns": { "max": 4 }, "on": "last" })).contains("`turns` is not about one"));
    assert!(refusal(json!({ "matches": "a", "ignoreCase": true })).contains("not with `matches`"));
    assert!(refusal(json!({ "jsonPath": { "path": "$", "equal": 1 } })).contains("unknown field `equal`"));
    assert!(refusal(json!({ "toolCalled": { "name": "a", "args": {} } })).contains("expected a tool's name"));
    assert!(refusal(json!({ "costUsd": { "max": -1 } })).contains("no amount of US dollars"));
}

#[test]
fn a_check_without_a_name_is_called_by_its_rule() {
    let title = |written| check(written).title();
    assert_eq!(title(json!({ "contains": "refund", "name": "Money" })), "Money");
    assert_eq!(title(json!({ "contains": ["a", "b"] })), "a reply of the agent says “a”, “b”");
    assert_eq!(title(json!({ "notMatches": "x+" })), "no reply of the agent matches /x+/");
    assert_eq!(
        title(json!({ "toolCalled": { "name": "refund", "arguments": { "a": 1 }, "times": 2 } })),
        "the agent calls `refund` with {\"a\":1} (2 times)"
    );
    assert_eq!(title(json!({ "turns": { "max": 4 } })), "the conversation takes at most 4 turns");
    assert!(title(json!({ "contains": "a".repeat(5000) })).len() < 300, "a title is a line");
}
