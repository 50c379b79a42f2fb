//! Rules of the tools that the agent called. Where nobody knows of any, none of them holds: not even that one was not
//! called.

use serde_json::Value;

use super::json::has;
use super::{Finding, Observed, Standing, shown};
use crate::definitions::{Range, ToolRule, ToolUse};
use crate::events::ToolCall;

/// The most calls that are listed in a sentence.
const MAX_LISTED: usize = 5;

/// What is said of an agent whose tools nobody knows of.
const NOT_KNOWN: &str = "Which tools the agent called is not known: its replies do not tell of them, and no spans of its own that are whole \
     do. Say in `toolCalls` of its definition where its replies have them.";

pub(super) fn examine(rule: &ToolRule, observed: &Observed<'_>) -> Finding {
    if observed.tool_calls_unknown {
        return Finding::new(Standing::Open, not_known(observed.tool_calls_left_out));
    }
    let calls = calls(observed);
    match rule {
        ToolRule::Called(tool) => called(tool, &calls),
        ToolRule::NotCalled(name) => not_called(name, &calls),
        ToolRule::InOrder(names) => in_order(names, &calls),
    }
}

fn not_known(left_out: u64) -> String {
    match left_out {
        0 => NOT_KNOWN.to_owned(),
        calls => format!(
            "Which tools the agent called is not known: its spans tell of {calls} calls more than are taken in for one reply."
        ),
    }
}

/// A call and the message that it belongs to.
struct Call<'a> {
    index: usize,
    call: &'a ToolCall,
}

fn calls<'a>(observed: &Observed<'a>) -> Vec<Call<'a>> {
    let of = |(index, calls): (usize, &'a [ToolCall])| calls.iter().map(move |call| Call { index, call });
    observed.replies().map(|(index, message)| (index, message.tool_calls.as_slice())).flat_map(of).collect()
}

fn called(tool: &ToolUse, calls: &[Call<'_>]) -> Finding {
    let of_tool: Vec<&Call<'_>> = calls.iter().filter(|call| call.call.name == tool.name()).collect();
    let wanted = tool.arguments().map(|arguments| Value::Object(arguments.clone()));
    let (counted, others): (Vec<_>, Vec<_>) = of_tool
        .into_iter()
        .partition(|call| wanted.as_ref().is_none_or(|wanted| has(&arguments(call.call), wanted)));
    let standing = within(tool.times(), counted.len());
    let with = wanted.map(|wanted| format!(" with {}", shown(&wanted.to_string()))).unwrap_or_default();
    let mut reasoning = format!("`{}` was called{with} {}", tool.name(), times(&counted));
    if !others.is_empty() {
        let given: Vec<String> = others.iter().take(MAX_LISTED).map(|call| given(call)).collect();
        reasoning = format!("{reasoning}, and otherwise {}: {}", times(&others), given.join("; "));
    }
    Finding::new(standing, reasoning + ".")
}

/// Arguments as JSON, whether the agent tells them as JSON or as a text of JSON.
fn arguments(call: &ToolCall) -> Value {
    let parsed = call.arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| call.arguments.clone())
}

/// Calls only become more.
fn within(range: Range, calls: usize) -> Standing {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    if range.max.is_some_and(|max| calls > max) {
        Standing::Broken
    } else if range.min.is_some_and(|min| calls < min) {
        Standing::Open
    } else {
        Standing::Holds
    }
}

fn not_called(name: &str, calls: &[Call<'_>]) -> Finding {
    let found: Vec<&Call<'_>> = calls.iter().filter(|call| call.call.name == name).collect();
    let standing = if found.is_empty() { Standing::Holds } else { Standing::Broken };
    Finding::new(standing, format!("`{name}` was called {}.", times(&found)))
}

fn in_order(names: &[String], calls: &[Call<'_>]) -> Finding {
    let mut rest = names.iter();
    let mut next = rest.next();
    for call in calls {
        if next.is_some_and(|name| *name == call.call.name) {
            next = rest.next();
        }
    }
    let called: Vec<String> =
        calls.iter().map(|Call { index, call }| format!("`{}` ({index})", call.name)).collect();
    let called = if called.is_empty() { "no tool".to_owned() } else { called.join(", ") };
    match next {
        None => Finding::new(Standing::Holds, format!("The agent called, by message: {called}.")),
        Some(name) => {
            let reasoning =
                format!("`{name}` was not called in its place; the agent called, by message: {called}.");
            Finding::new(Standing::Open, reasoning)
        }
    }
}

fn times(calls: &[&Call<'_>]) -> String {
    let places: Vec<String> = calls.iter().take(MAX_LISTED).map(|call| call.index.to_string()).collect();
    let more = if calls.len() > MAX_LISTED { ", …" } else { "" };
    match calls.len() {
        0 => "0 times".to_owned(),
        1 => format!("once (message {})", places.join(", ")),
        times => format!("{times} times (messages {}{more})", places.join(", ")),
    }
}

fn given(call: &Call<'_>) -> String {
    shown(&call.call.arguments.to_string())
}
