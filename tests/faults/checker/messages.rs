//! Messages are gapless, each is there once, the outcome repeats them, and they are what the script says.

use serde_json::Value;

use super::outcomes::came_to_its_end;
use super::{Rule, Run, Violation};
use crate::history::Kind;
use crate::script;

/// What a message event and the outcome's copy have in common.
const COMMON: [&str; 4] = ["index", "turn", "role", "content"];

/// Bytes of a line that are shown.
const SHOWN: usize = 40;

pub(super) fn check(run: &Run<'_>) -> Vec<Violation> {
    let messages: Vec<&Value> = run.events_of(Kind::Message).map(|event| &event.payload).collect();
    let checks =
        [opening(run, messages.len()), order(run, &messages), copy(run, &messages), words(run, &messages)];
    checks.into_iter().flatten().collect()
}

/// One beginning, and what it says of time and trace holds to the end.
fn opening(run: &Run<'_>, messages: usize) -> Option<Violation> {
    let started: Vec<_> = run.events_of(Kind::Started).map(|event| &event.payload).collect();
    let [started] = started.as_slice() else {
        let fits = started.is_empty() && messages == 0;
        return (!fits).then(|| run.violation(Rule::Began, format!("{} started events", started.len())));
    };
    let mut said = run.events_of(Kind::Message).map(|event| &event.payload["traceId"]);
    let outcome = run.events_of(Kind::Completed).next().map(|event| &event.payload);
    let trace = outcome.map(|outcome| &outcome["telemetry"]["traceId"]);
    if said.any(|trace| *trace != started["traceId"]) || trace.is_some_and(|id| *id != started["traceId"]) {
        return Some(run.violation(Rule::Began, "its events are of several traces"));
    }
    let (first, last) = (&started["startedAt"], &outcome?["startedAt"]);
    let what = || format!("it began at {first} and, as its outcome says, at {last}");
    (first != last).then(|| run.violation(Rule::Began, what()))
}

fn order(run: &Run<'_>, messages: &[&Value]) -> Option<Violation> {
    let indices: Vec<_> = messages.iter().map(|message| message["index"].as_u64()).collect();
    let gapless = indices.iter().zip(0..).all(|(index, expected)| *index == Some(expected));
    (!gapless).then(|| run.violation(Rule::Messages, format!("their indices are {indices:?}")))
}

fn copy(run: &Run<'_>, messages: &[&Value]) -> Option<Violation> {
    let outcome = &run.events_of(Kind::Completed).next()?.payload;
    if outcome["messagesTruncated"] == true && script::is_large(run.id) {
        return None;
    }
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
    let complete = run.events_of(Kind::Completed).any(|outcome| came_to_its_end(&outcome.payload));
    let as_written = said.iter().zip(&script).all(|(said, written)| said == written);
    let fits = as_written && said.len() <= script.len() && (!complete || said.len() == script.len());
    let what = || format!("it reads {:?} instead of {:?}", shown(&said), shown(&script));
    (!fits).then(|| run.violation(Rule::Transcript, what()))
}

/// The beginnings of lines that may be long.
fn shown(lines: &[impl AsRef<str>]) -> Vec<&str> {
    lines.iter().map(|line| line.as_ref().get(..SHOWN).unwrap_or(line.as_ref())).collect()
}
