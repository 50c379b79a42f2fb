//! Messages are gapless, each is there once, the outcome repeats them, and they are what the script says.

use serde_json::Value;

use super::{Rule, Run, Violation};
use crate::history::Kind;
use crate::script;

/// What a message event and the outcome's copy have in common.
const COMMON: [&str; 4] = ["index", "turn", "role", "content"];

pub(super) fn check(run: &Run<'_>) -> Vec<Violation> {
    let messages: Vec<&Value> = run.events_of(Kind::Message).map(|event| &event.payload).collect();
    let checks =
        [opening(run, messages.len()), order(run, &messages), copy(run, &messages), words(run, &messages)];
    checks.into_iter().flatten().collect()
}

fn opening(run: &Run<'_>, messages: usize) -> Option<Violation> {
    let started = run.events_of(Kind::Started).count();
    let fits = started == 1 || (started == 0 && messages == 0);
    (!fits).then(|| run.violation(Rule::Messages, format!("{started} started events")))
}

fn order(run: &Run<'_>, messages: &[&Value]) -> Option<Violation> {
    let indices: Vec<_> = messages.iter().map(|message| message["index"].as_u64()).collect();
    let gapless = indices.iter().zip(0..).all(|(index, expected)| *index == Some(expected));
    (!gapless).then(|| run.violation(Rule::Messages, format!("their indices are {indices:?}")))
}

fn copy(run: &Run<'_>, messages: &[&Value]) -> Option<Violation> {
    let outcome = &run.events_of(Kind::Completed).next()?.payload;
    let common = |message: &Value| COMMON.map(|field| message[field].clone());
    let said: Vec<_> = messages.iter().map(|message| common(message)).collect();
    let repeated: Vec<_> = outcome["messages"].as_array().into_iter().flatten().map(common).collect();
    let what = || {
        let (events, copies) = (said.len(), repeated.len());
        format!("the outcome ({}) repeats {copies} messages, and {events} were stored", outcome["status"])
    };
    (said != repeated).then(|| run.violation(Rule::Messages, what()))
}

fn words(run: &Run<'_>, messages: &[&Value]) -> Option<Violation> {
    let script = script::transcript_of(run.id);
    let said: Vec<_> =
        messages.iter().map(|message| message["content"].as_str().unwrap_or_default()).collect();
    let complete = run.events_of(Kind::Completed).any(|outcome| outcome.payload["status"] == "SUCCESS");
    let as_written = said.iter().zip(&script).all(|(said, written)| said == written);
    let fits = as_written && said.len() <= script.len() && (!complete || said.len() == script.len());
    (!fits).then(|| run.violation(Rule::Transcript, format!("it reads {said:?} instead of {script:?}")))
}
