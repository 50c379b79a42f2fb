//! What each rule makes of a conversation, and how it says so.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::events::{Cost, TokenUsage, ToolCall};

pub(super) fn message(role: MessageRole, content: &str) -> Message {
    Message {
        turn: 1,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    }
}

/// A customer's line before each of the agent's replies: those have the indices 1, 3, 5, ….
fn conversation(replies: &[&str]) -> Vec<Message> {
    let turn = |reply: &&str| [message(MessageRole::User, "refund?"), message(MessageRole::Assistant, reply)];
    replies.iter().flat_map(turn).collect()
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall { id: String::new(), name: name.to_owned(), arguments }
}

fn calling(calls: &[(&str, Value)]) -> Vec<Message> {
    let mut reply = message(MessageRole::Assistant, "");
    reply.tool_calls = calls.iter().map(|(name, arguments)| call(name, arguments.clone())).collect();
    vec![message(MessageRole::User, "refund?"), reply]
}

fn observed<'a>(messages: &'a [Message], turns: u32, usage: &'a UsageByRole) -> Observed<'a> {
    Observed { messages, tool_calls_unknown: false, tool_calls_left_out: 0, turns, usage }
}

fn find(written: Value, messages: &[Message]) -> Finding {
    let usage = UsageByRole::default();
    let check = serde_json::from_value(written).unwrap();
    examine(&check, &observed(messages, 2, &usage))
}

fn standing(written: Value, replies: &[&str]) -> Standing {
    find(written, &conversation(replies)).standing
}

#[test]
fn what_has_to_be_said_may_be_said_in_any_reply() {
    let refund = || json!({ "contains": "refund" });
    assert_eq!(standing(refund(), &[]), Standing::Open, "the customer's words do not count");
    assert_eq!(standing(refund(), &["Hello"]), Standing::Open);
    assert_eq!(standing(refund(), &["Hello", "You get a refund", "Bye"]), Standing::Holds);
    assert_eq!(standing(refund(), &["A REFUND"]), Standing::Open);
    assert_eq!(
        standing(json!({ "contains": "Rückgabe", "ignoreCase": true }), &["RÜCKGABE"]),
        Standing::Holds
    );
    assert_eq!(standing(json!({ "contains": "a.c" }), &["abc"]), Standing::Open, "a text is no pattern");
    assert_eq!(standing(json!({ "contains": ["a", "b"] }), &["only a", "only b"]), Standing::Holds);
    assert_eq!(standing(json!({ "contains": ["a", "b"] }), &["only a"]), Standing::Open);
    assert_eq!(standing(json!({ "matches": r"\d+ days" }), &["In 5 days"]), Standing::Holds);
}

#[test]
fn what_must_not_be_said_must_be_said_in_no_reply() {
    let never = || json!({ "notContains": ["guarantee", "promise"] });
    assert_eq!(standing(never(), &[]), Standing::Open, "nothing was heard that could show it");
    assert_eq!(standing(never(), &["Hello", "Bye"]), Standing::Holds);
    assert_eq!(standing(never(), &["I promise", "Bye"]), Standing::Broken);
    assert_eq!(standing(json!({ "notMatches": "(?i)as an ai" }), &["As an AI I cannot"]), Standing::Broken);
}

#[test]
fn a_rule_is_about_the_replies_that_it_names() {
    let on = |on: &str, replies: &[&str]| standing(json!({ "contains": "x", "on": on }), replies);
    for (replies, any, every, first, last) in [
        (vec!["x", "x"], Standing::Holds, Standing::Holds, Standing::Holds, Standing::Holds),
        (vec!["x", "y"], Standing::Holds, Standing::Broken, Standing::Holds, Standing::Open),
        (vec!["y", "x"], Standing::Holds, Standing::Broken, Standing::Broken, Standing::Holds),
        (vec!["y", "y"], Standing::Open, Standing::Broken, Standing::Broken, Standing::Open),
        (vec![], Standing::Open, Standing::Open, Standing::Open, Standing::Open),
    ] {
        let found = ["any", "every", "first", "last"].map(|name| on(name, &replies));
        assert_eq!(found, [any, every, first, last], "{replies:?}");
    }
}

#[test]
fn a_finding_shows_the_passage_and_where_it_is() {
    let found = find(json!({ "contains": "refund" }), &conversation(&["Hello", "You will get a refund."]));
    assert_eq!(found.reasoning, "Message 3 does say “refund”: “You will get a refund.”.");
    assert_eq!(found.evidence, [Quote { index: 3, quote: "refund".to_owned() }]);
    let found = find(json!({ "notMatches": "pro\\w+" }), &conversation(&["I promise", "Bye"]));
    assert_eq!(found.reasoning, "Message 1 does match /pro\\w+/: “I promise”.");
    assert_eq!(found.evidence, [Quote { index: 1, quote: "promise".to_owned() }]);
    let found = find(json!({ "contains": "refund" }), &conversation(&["Hello", "Bye"]));
    assert_eq!(
        found.reasoning,
        "None of the 2 replies is what is asked for; the last: Message 3 does not say “refund”: “Bye”."
    );
}

#[test]
fn what_is_said_of_a_finding_has_an_end() {
    let long = "é".repeat(10_000);
    for written in [
        json!({ "matches": "é+" }),
        json!({ "contains": "É".repeat(2_000), "ignoreCase": true }),
        json!({ "notMatches": "é+" }),
        json!({ "contains": long }),
        json!({ "contains": vec![long.as_str(); 50] }),
        json!({ "jsonPath": { "path": "$", "equals": long } }),
        json!({ "jsonSchema": { "const": long } }),
    ] {
        for reply in [long.clone(), json!(long).to_string()] {
            let found = find(written.clone(), &conversation(&[&reply]));
            assert!(found.reasoning.len() < 2100, "{}", found.reasoning.len());
            assert!(found.evidence.len() <= 5);
            for quote in &found.evidence {
                assert!(quote.quote.len() <= 512 && reply.contains(&quote.quote));
            }
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_path_looks_into_the_last_reply_that_is_json() {
    let look = |test: Value, reply: &str| find(json!({ "jsonPath": test }), &conversation(&["{}", reply]));
    let reply = r#"{ "status": "open", "total": 5, "items": [{ "id": 1 }, { "id": 2.0 }], "none": null }"#;
    for (test, holds) in [
        (json!({ "path": "$.status" }), true),
        (json!({ "path": "$.missing" }), false),
        (json!({ "path": "$.missing", "exists": false }), true),
        (json!({ "path": "$.status", "exists": false }), false),
        (json!({ "path": "$.status", "equals": "open" }), true),
        (json!({ "path": "$.status", "equals": "closed" }), false),
        (json!({ "path": "$.total", "equals": 5.0 }), true),
        (json!({ "path": "$.items[*].id", "equals": 2 }), true),
        (json!({ "path": "$.items[0]", "equals": { "id": 1 } }), true),
        (json!({ "path": "$.none", "equals": null }), true),
        (json!({ "path": "$.missing", "equals": null }), false),
        (json!({ "path": "$.status", "matches": "^o" }), true),
        (json!({ "path": "$.total", "matches": "^5$" }), true),
        (json!({ "path": "$.items[*].id", "equals": 1, "matches": "2" }), false),
    ] {
        let found = look(test.clone(), reply);
        let expected = if holds { Standing::Holds } else { Standing::Open };
        assert_eq!(found.standing, expected, "{test}: {}", found.reasoning);
    }
    let found = look(json!({ "path": "$.status", "equals": "closed" }), reply);
    assert_eq!(found.reasoning, "Message 3 has \"open\" at $.status, not \"closed\".");
    let found = look(json!({ "path": "$.status", "exists": false }), "Sorry!");
    assert_eq!(found.standing, Standing::Open, "what is no JSON has no values to be missing");
    assert!(found.reasoning.starts_with("Message 3 is not JSON (expected value"), "{}", found.reasoning);
    let found = look(json!({ "path": "$" }), &json!("x".repeat(1 << 20)).to_string());
    assert_eq!(found.reasoning, "Message 3 has 1048578 bytes; it is read as JSON up to 1048576.");
}

#[test]
fn a_schema_is_about_the_last_reply_and_its_formats_count() {
    let schema = json!({
        "type": "object", "required": ["total"],
        "properties": { "total": { "type": "number" }, "day": { "format": "date" } },
    });
    let look = |reply: &str| find(json!({ "jsonSchema": schema }), &conversation(&["Hello", reply]));
    assert_eq!(look(r#"{ "total": 5, "day": "2026-02-28" }"#).standing, Standing::Holds);
    for (reply, reason) in [
        (
            r#"{ "total": "5" }"#,
            "Message 3 is not JSON of the schema at /total: \"5\" is not of type \"number\".",
        ),
        (r#"{ "total": 5, "day": "2026-02-30" }"#, "Message 3 is not JSON of the schema at /day: "),
        ("{}", "Message 3 is not JSON of the schema: \"total\" is a required property."),
        ("5 EUR", "Message 3 is not JSON (trailing characters"),
    ] {
        let found = look(reply);
        assert_eq!(found.standing, Standing::Open);
        assert!(found.reasoning.starts_with(reason), "{}", found.reasoning);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn tool_calls_are_counted_by_name_and_arguments() {
    let calls = calling(&[
        ("find_order", json!({ "id": 7 })),
        ("refund", json!({ "order": 7, "amount": { "value": 5.0, "currency": "EUR" } })),
        ("refund", json!("{ \"order\": 8 }")),
    ]);
    for (tool, expected) in [
        (json!("refund"), Standing::Holds),
        (json!("cancel"), Standing::Open),
        (json!({ "name": "refund", "times": 2 }), Standing::Holds),
        (json!({ "name": "refund", "times": 1 }), Standing::Broken),
        (json!({ "name": "refund", "times": { "min": 3 } }), Standing::Open),
        (json!({ "name": "refund", "times": { "max": 1 } }), Standing::Broken),
        (json!({ "name": "refund", "arguments": { "amount": { "value": 5 } }, "times": 1 }), Standing::Holds),
        (json!({ "name": "refund", "arguments": { "order": 8 } }), Standing::Holds),
        (json!({ "name": "refund", "arguments": { "order": 9 } }), Standing::Open),
        (json!({ "name": "refund", "arguments": { "order": 9 }, "times": 0 }), Standing::Holds),
    ] {
        let found = find(json!({ "toolCalled": tool }), &calls);
        assert_eq!(found.standing, expected, "{tool}: {}", found.reasoning);
    }
    let found = find(json!({ "toolCalled": { "name": "find_order", "arguments": { "id": 8 } } }), &calls);
    assert_eq!(
        found.reasoning,
        "`find_order` was called with {\"id\":8} 0 times, and otherwise once (message 1): {\"id\":7}."
    );
}

#[test]
fn tools_are_forbidden_or_put_in_order() {
    let calls = calling(&[("find", json!({})), ("log", json!({})), ("refund", json!({}))]);
    assert_eq!(find(json!({ "toolNotCalled": "delete" }), &calls).standing, Standing::Holds);
    let found = find(json!({ "toolNotCalled": "log" }), &calls);
    assert_eq!(
        (found.standing, found.reasoning.as_str()),
        (Standing::Broken, "`log` was called once (message 1).")
    );
    assert_eq!(find(json!({ "toolsInOrder": ["find", "refund"] }), &calls).standing, Standing::Holds);
    let found = find(json!({ "toolsInOrder": ["refund", "find"] }), &calls);
    assert_eq!(found.standing, Standing::Open);
    assert_eq!(
        found.reasoning,
        "`find` was not called in its place; the agent called, by message: `find` (1), `log` (1), `refund` (1)."
    );
}

#[test]
fn where_nobody_knows_of_tools_no_rule_of_them_holds() {
    let calls = calling(&[("find", json!({})), ("refund", json!({}))]);
    let usage = UsageByRole::default();
    for written in [
        json!({ "toolNotCalled": "delete" }),
        json!({ "toolCalled": "find" }),
        json!({ "toolCalled": { "name": "delete", "times": 0 } }),
        json!({ "toolsInOrder": ["find", "refund"] }),
    ] {
        let check = serde_json::from_value(written).unwrap();
        for messages in [&calls[..], &[]] {
            let observed = Observed { tool_calls_unknown: true, ..observed(messages, 1, &usage) };
            let found = examine(&check, &observed);
            assert_eq!(found.standing, Standing::Open, "{check:?}");
            assert!(found.reasoning.contains("`toolCalls` of its definition"), "{}", found.reasoning);
            let found = examine(&check, &Observed { tool_calls_left_out: 7, ..observed });
            assert!(found.reasoning.contains("7 calls more"), "{}", found.reasoning);
        }
    }
}

#[test]
fn latencies_are_those_of_replies_that_somebody_was_asked_for() {
    let mut messages = conversation(&["a", "b", "from the script"]);
    messages[1].latency_ms = Some(1500);
    messages[3].latency_ms = Some(700);
    let found = find(json!({ "replyLatencyMs": { "max": 1000 } }), &messages);
    assert_eq!(found.standing, Standing::Broken);
    assert_eq!(found.reasoning, "Message 1 took 1500 ms, more than 1000 ms.");
    assert_eq!(find(json!({ "replyLatencyMs": { "max": 1500 } }), &messages).standing, Standing::Holds);
    assert_eq!(find(json!({ "totalLatencyMs": { "max": 2200 } }), &messages).standing, Standing::Holds);
    assert_eq!(find(json!({ "totalLatencyMs": { "max": 2199 } }), &messages).standing, Standing::Broken);
    let asked_nobody = conversation(&["from the script"]);
    for limit in ["replyLatencyMs", "totalLatencyMs"] {
        assert_eq!(find(json!({ limit: { "max": 1 } }), &asked_nobody).standing, Standing::Open);
    }
}

#[test]
fn turns_have_bounds() {
    for (range, expected) in [
        (json!({ "min": 2, "max": 2 }), Standing::Holds),
        (json!({ "min": 3 }), Standing::Open),
        (json!({ "max": 1 }), Standing::Broken),
        (json!({ "min": 3, "max": 1 }), Standing::Broken),
    ] {
        assert_eq!(find(json!({ "turns": range }), &[]).standing, expected, "{range}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn tokens_and_cost_have_limits_and_what_is_not_known_is_not_within_them() {
    let cost = Cost::try_from(0.02).unwrap();
    let judge = TokenUsage { input_tokens: 90, output_tokens: 10, calls: 1, cost, ..TokenUsage::default() };
    let usage = UsageByRole {
        judge,
        target: TokenUsage { calls: 1, ..TokenUsage::default() },
        ..UsageByRole::default()
    };
    let unpriced = UsageByRole { judge: TokenUsage { cost: Cost::ZERO, unpriced: 1, ..judge }, ..usage };
    let partly = UsageByRole { user_simulator: TokenUsage { unreported: 1, calls: 2, ..judge }, ..usage };
    for (written, usage, expected) in [
        (json!({ "tokens": { "max": 100 } }), usage, Standing::Holds),
        (json!({ "tokens": { "max": 99 } }), usage, Standing::Broken),
        (json!({ "tokens": { "max": 99, "role": "userSimulator" } }), usage, Standing::Holds),
        (json!({ "tokens": { "max": 99, "role": "judge" } }), usage, Standing::Broken),
        (json!({ "tokens": { "max": 99, "role": "target" } }), usage, Standing::Open),
        (json!({ "costUsd": { "max": 0.02 } }), usage, Standing::Holds),
        (json!({ "costUsd": { "max": 0.019 } }), usage, Standing::Broken),
        (json!({ "costUsd": { "max": 0.019 } }), unpriced, Standing::Open),
        (json!({ "costUsd": { "max": 0 } }), UsageByRole::default(), Standing::Holds),
        (json!({ "costUsd": { "max": 1 } }), partly, Standing::Open),
        (json!({ "costUsd": { "max": 0.03 } }), partly, Standing::Broken),
        (json!({ "tokens": { "max": 1000 } }), partly, Standing::Open),
        (json!({ "tokens": { "max": 199 } }), partly, Standing::Broken),
    ] {
        let check = serde_json::from_value(written.clone()).unwrap();
        let found = examine(&check, &observed(&[], 1, &usage));
        assert_eq!(found.standing, expected, "{written}: {}", found.reasoning);
    }
}

#[test]
fn a_check_that_somehow_is_not_valid_never_holds_and_says_why() {
    for (written, reason) in [
        (json!({ "matches": "(" }), "its pattern `(` does not compile: unclosed group."),
        (json!({ "notMatches": "(" }), "its pattern `(` does not compile"),
        (json!({ "jsonPath": { "path": "a", "exists": false } }), "its path `a` is no JSONPath"),
        (json!({ "jsonPath": { "path": "$", "matches": "[" } }), "its pattern `[` does not compile"),
        (json!({ "jsonSchema": { "type": 5 } }), "its schema `{\"type\":5}` is no JSON Schema"),
    ] {
        for replies in [vec![], vec!["{}"]] {
            let found = find(written.clone(), &conversation(&replies));
            assert_eq!(found.standing, Standing::Broken, "{written}");
            assert!(found.reasoning.contains(reason), "{}", found.reasoning);
        }
    }
}

#[test]
fn a_result_is_decided_by_the_check_and_carries_its_evidence() {
    let (check, usage) =
        (serde_json::from_value(json!({ "contains": "a", "name": "A" })).unwrap(), UsageByRole::default());
    let met = conversation(&["a"]);
    let met = result("check1".to_owned(), &check, &observed(&met, 1, &usage));
    assert_eq!((met.id.as_str(), met.text.as_str(), met.status), ("check1", "A", CriterionStatus::Met));
    assert_eq!((met.decided_by, met.evidence.len()), (DecidedBy::Check, 1));
    let open = result("check1".to_owned(), &check, &observed(&[], 1, &usage));
    assert_eq!(open.status, CriterionStatus::Unmet);
}
