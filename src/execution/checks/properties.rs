//! What holds of every check in every conversation.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::message;
use super::*;
use crate::events::{Cost, TokenUsage, ToolCall};

/// What happens next in a conversation.
#[derive(Debug, Clone)]
struct Move {
    message: Message,
    new_turn: bool,
    usage: TokenUsage,
}

/// A conversation as far as it is.
#[derive(Default)]
struct Course {
    messages: Vec<Message>,
    turns: u32,
    usage: UsageByRole,
}

impl Course {
    fn goes_on(&mut self, next: &Move) {
        self.turns += u32::from(next.new_turn);
        self.messages.push(next.message.clone());
        match next.message.role {
            MessageRole::User => self.usage.user_simulator.add(next.usage),
            MessageRole::Assistant => self.usage.target.add(next.usage),
            MessageRole::Tool => self.usage.judge.add(next.usage),
        }
    }

    fn standing(&self, check: &Check) -> Standing {
        let Self { messages, turns, usage } = self;
        examine(
            check,
            &Observed { messages, tool_calls_unknown: false, tool_calls_left_out: 0, turns: *turns, usage },
        )
        .standing
    }

    /// How `check` stands before the first move and after each.
    fn standings(moves: &[Move], check: &Check) -> Vec<Standing> {
        let mut course = Self::default();
        let mut standings = vec![course.standing(check)];
        for next in moves {
            course.goes_on(next);
            standings.push(course.standing(check));
        }
        standings
    }
}

fn words() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "A b", "aab", r#"{"n":1}"#, r#"{"n":2,"m":"a"}"#, "[1]"])
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let role = prop::sample::select(vec![MessageRole::User, MessageRole::Assistant, MessageRole::Tool]);
    let calls = prop::collection::vec((prop::sample::select(vec!["t", "u"]), 0..3), 0..3);
    let usage = (0_u64..4, 0_u64..4, 0_u32..3);
    let next = (role, words(), calls, prop::option::of(0_u64..6), any::<bool>(), usage);
    prop::collection::vec(next.prop_map(made), 0..8)
}

type Raw = (MessageRole, &'static str, Vec<(&'static str, i32)>, Option<u64>, bool, (u64, u64, u32));

fn made((role, words, calls, latency_ms, new_turn, (sent, received, cents)): Raw) -> Move {
    let call = |(name, n): (&str, i32)| ToolCall {
        id: String::new(),
        name: name.into(),
        arguments: json!({ "n": n }),
    };
    let tool_calls = calls.into_iter().map(call).collect();
    let cost = Cost::try_from(f64::from(cents) / 100.0).unwrap();
    let usage =
        TokenUsage { input_tokens: sent, output_tokens: received, calls: 1, cost, ..TokenUsage::default() };
    Move { message: Message { tool_calls, latency_ms, ..message(role, words) }, new_turn, usage }
}

fn on() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["last", "any", "every", "first"])
}

/// Every rule, in forms that find something in these conversations, about each of the replies.
static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| {
    let of_replies = reply_rules().into_iter().flat_map(|(key, rule)| {
        ["last", "any", "every", "first"].map(|on| json!({ key: rule.clone(), "on": on }))
    });
    of_replies.chain(other_rules()).map(check).collect()
});

fn reply_rules() -> [(&'static str, Value); 8] {
    [
        ("contains", json!(["a", "b"])),
        ("notContains", json!(["A", "n"])),
        ("matches", json!("^a+|m")),
        ("notMatches", json!("b$")),
        ("jsonPath", json!({ "path": "$.n", "equals": 2 })),
        ("jsonPath", json!({ "path": "$..m", "exists": false })),
        ("jsonSchema", json!({ "type": "object" })),
        ("matches", json!("(")),
    ]
}

fn other_rules() -> [Value; 16] {
    [
        json!({ "toolCalled": "t" }),
        json!({ "toolCalled": { "name": "t", "times": { "min": 1, "max": 2 } } }),
        json!({ "toolCalled": { "name": "t", "times": 0 } }),
        json!({ "toolCalled": { "name": "u", "arguments": { "n": 1 }, "times": 1 } }),
        json!({ "toolNotCalled": "u" }),
        json!({ "toolsInOrder": ["t", "u", "t"] }),
        json!({ "turns": { "min": 2 } }),
        json!({ "turns": { "max": 3 } }),
        json!({ "turns": { "min": 2, "max": 3 } }),
        json!({ "replyLatencyMs": { "max": 3 } }),
        json!({ "totalLatencyMs": { "max": 6 } }),
        json!({ "tokens": { "max": 12 } }),
        json!({ "tokens": { "max": 0 } }),
        json!({ "tokens": { "max": 6, "role": "target" } }),
        json!({ "costUsd": { "max": 0.02 } }),
        json!({ "costUsd": { "max": 0 } }),
    ]
}

fn check(written: Value) -> Check {
    serde_json::from_value(written).unwrap()
}

/// Once true, always true.
fn stays(standings: &[Standing], standing: Standing) -> bool {
    standings.iter().skip_while(|found| **found != standing).all(|found| *found == standing)
}

proptest! {
    #[test]
    fn what_is_broken_stays_broken_whatever_is_still_said(moves in moves()) {
        for check in CHECKS.iter() {
            let standings = Course::standings(&moves, check);
            prop_assert!(stays(&standings, Standing::Broken), "{check:?}: {standings:?}");
        }
    }

    #[test]
    fn what_has_happened_has_happened(moves in moves(), rule in prop::sample::select(vec![
        json!({ "contains": ["a", "b"] }),
        json!({ "matches": "a+b" }),
        json!({ "contains": "a", "on": "first" }),
        json!({ "jsonPath": { "path": "$.n" }, "on": "any" }),
        json!({ "toolCalled": { "name": "t", "arguments": { "n": 1 }, "times": { "min": 2 } } }),
        json!({ "toolsInOrder": ["t", "u"] }),
        json!({ "turns": { "min": 2 } }),
    ])) {
        let standings = Course::standings(&moves, &check(rule.clone()));
        prop_assert!(stays(&standings, Standing::Holds), "{rule}: {standings:?}");
    }

    #[test]
    fn what_is_forbidden_holds_from_the_first_reply_until_it_is_broken(moves in moves(), rule in prop::sample::select(vec![
        json!({ "notContains": ["a", "n"] }),
        json!({ "notMatches": "b" }),
        json!({ "toolNotCalled": "t" }),
        json!({ "turns": { "max": 2 } }),
        json!({ "replyLatencyMs": { "max": 3 } }),
        json!({ "totalLatencyMs": { "max": 6 } }),
    ])) {
        let standings = Course::standings(&moves, &check(rule.clone()));
        let mut heard = standings.iter().skip_while(|standing| **standing == Standing::Open);
        prop_assert!(heard.all(|standing| *standing != Standing::Open), "{rule}: {standings:?}");
    }

    #[test]
    fn a_list_of_texts_is_as_many_checks(moves in moves(), on in on(), key in prop::sample::select(vec!["contains", "notContains"])) {
        let whole = Course::standings(&moves, &check(json!({ key: ["a", "b"], "on": on })));
        let parts = ["a", "b"].map(|text| Course::standings(&moves, &check(json!({ key: text, "on": on }))));
        let worst: Vec<Standing> = parts[0].iter().zip(&parts[1]).map(|(one, other)| *one.max(other)).collect();
        prop_assert_eq!(whole, worst);
    }

    #[test]
    fn to_forbid_is_to_deny_what_is_asked_for(moves in moves(), text in prop::sample::select(vec!["a", "b", "n"])) {
        let said = Course::standings(&moves, &check(json!({ "contains": text })));
        let forbidden = Course::standings(&moves, &check(json!({ "notContains": text })));
        for (said, forbidden) in said.iter().zip(&forbidden) {
            prop_assert_eq!(*said == Standing::Holds, *forbidden == Standing::Broken);
        }
    }

    #[test]
    fn quotes_stand_in_the_messages_that_they_name(moves in moves()) {
        let mut course = Course::default();
        for next in &moves {
            course.goes_on(next);
        }
        let Course { messages, turns, usage } = &course;
        let observed = Observed { messages, tool_calls_unknown: false, tool_calls_left_out: 0, turns: *turns, usage };
        for quote in CHECKS.iter().flat_map(|check| examine(check, &observed).evidence) {
            let message = &messages[quote.index as usize];
            prop_assert!(message.role == MessageRole::Assistant && message.content.contains(&quote.quote));
        }
    }
}
