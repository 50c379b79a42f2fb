//! What holds of every check in every conversation.

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
        examine(check, &Observed { messages, turns: *turns, usage }).standing
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
    let usage = TokenUsage { input_tokens: sent, output_tokens: received, calls: 1, cost };
    Move { message: Message { tool_calls, latency_ms, ..message(role, words) }, new_turn, usage }
}

fn on() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["last", "any", "every", "first"])
}

#[expect(clippy::too_many_lines, reason = "every rule, in forms that find something")]
fn any_check() -> impl Strategy<Value = Check> {
    let range = (0_u32..4, 0_u32..3).prop_map(|(min, more)| json!({ "min": min, "max": min + more }));
    let tests = prop::sample::select(vec![
        ("contains", json!(["a", "b"])),
        ("notContains", json!(["A", "n"])),
        ("matches", json!("^a+|m")),
        ("notMatches", json!("b$")),
        ("jsonPath", json!({ "path": "$.n", "equals": 2 })),
        ("jsonPath", json!({ "path": "$..m", "exists": false })),
        ("jsonSchema", json!({ "type": "object" })),
        ("matches", json!("(")),
    ]);
    let written = prop_oneof![
        (tests, on()).prop_map(|((key, rule), on)| json!({ key: rule, "on": on })),
        range.clone().prop_map(|times| json!({ "toolCalled": { "name": "t", "times": times } })),
        (0..3).prop_map(|n| json!({ "toolCalled": { "name": "u", "arguments": { "n": n } } })),
        Just(json!({ "toolNotCalled": "u" })),
        Just(json!({ "toolsInOrder": ["t", "u", "t"] })),
        range.prop_map(|range| json!({ "turns": range })),
        (0_u64..9).prop_map(|max| json!({ "replyLatencyMs": { "max": max } })),
        (0_u64..20).prop_map(|max| json!({ "totalLatencyMs": { "max": max } })),
        (0_u64..40).prop_map(|max| json!({ "tokens": { "max": max } })),
        (0_u64..20).prop_map(|max| json!({ "tokens": { "max": max, "role": "target" } })),
        (0_u32..20).prop_map(|cents| json!({ "costUsd": { "max": f64::from(cents) / 100.0 } })),
    ];
    written.prop_map(check)
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
    fn what_is_broken_stays_broken_whatever_is_still_said(check in any_check(), moves in moves()) {
        let standings = Course::standings(&moves, &check);
        prop_assert!(stays(&standings, Standing::Broken), "{check:?}: {standings:?}");
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
    fn what_is_forbidden_holds_until_it_is_broken(moves in moves(), rule in prop::sample::select(vec![
        json!({ "notContains": ["a", "n"] }),
        json!({ "notMatches": "b" }),
        json!({ "toolNotCalled": "t" }),
        json!({ "turns": { "max": 2 } }),
        json!({ "replyLatencyMs": { "max": 3 } }),
        json!({ "totalLatencyMs": { "max": 6 } }),
    ])) {
        let standings = Course::standings(&moves, &check(rule.clone()));
        prop_assert!(!standings.contains(&Standing::Open), "{rule}: {standings:?}");
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
    fn quotes_stand_in_the_messages_that_they_name(check in any_check(), moves in moves()) {
        let mut course = Course::default();
        for next in &moves {
            course.goes_on(next);
        }
        let Course { messages, turns, usage } = &course;
        for quote in examine(&check, &Observed { messages, turns: *turns, usage }).evidence {
            let message = &messages[quote.index as usize];
            prop_assert!(message.role == MessageRole::Assistant && message.content.contains(&quote.quote));
        }
    }
}
