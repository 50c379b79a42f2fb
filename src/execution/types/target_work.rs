//! What the agent under test tells of its own work by the spans that it sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::ToolCall;

/// What kind of work a span stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A tool was called.
    Tool,
    /// A model was called.
    Model,
    /// An agent, or a part of one, did something.
    Agent,
    /// Anything else: a request, a query, a function.
    #[default]
    #[serde(other)]
    Other,
}

/// One piece of the agent's work. Every text is bounded where it is read from a span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetWork {
    /// Its kind.
    pub kind: WorkKind,
    /// The name of the tool, model or agent, else of the span.
    pub name: String,
    /// The id of a tool's call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// What a tool was called with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// What came of a tool's call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Tokens that a model read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was heard of the agent's work for one of its replies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Something came, and nothing that came points to more.
    pub settled: bool,
    /// The work, in the order in which it began.
    pub work: Vec<TargetWork>,
    /// How many pieces are left out, because they are too many.
    #[serde(default)]
    pub left_out: u64,
    /// How many of those are calls of tools.
    #[serde(default, skip_serializing_if = "is_none")]
    pub tools_left_out: u64,
}

/// What the agent reports of one of its replies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The span of the call, as 16 hexadecimal digits: what the agent does for it stands below that.
    pub span: String,
    /// The reply itself does not tell which tools were called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// What was heard; `None` until somebody has listened. It stays what it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
}

/// What the agent reports of its replies, by their places in the transcript.
pub type TargetReports = BTreeMap<u32, TargetReport>;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Heard {
    /// Whether it tells which tools were called: it is whole, and comes from somebody who tells of an agent's work and not
    /// only of requests.
    fn tells_of_tools(&self) -> bool {
        self.settled && self.work.iter().any(|work| work.kind != WorkKind::Other)
    }
}

impl TargetReport {
    /// Whether the agent may have called tools of which nothing is known.
    #[must_use]
    pub fn tool_calls_unknown(&self) -> bool {
        self.unknown && !self.heard.as_ref().is_some_and(Heard::tells_of_tools)
    }

    /// Calls of tools that it tells of and that are too many to be known.
    #[must_use]
    pub fn tool_calls_left_out(&self) -> u64 {
        let heard = self.heard.as_ref().filter(|_| self.tool_calls_unknown());
        heard.map_or(0, |heard| heard.tools_left_out)
    }

    /// The agent's work as far as it was heard.
    pub fn work(&self) -> impl Iterator<Item = &TargetWork> {
        self.heard.iter().flat_map(|heard| &heard.work)
    }

    /// Calls of tools that the reply does not tell of. Reply and spans are about the same work, so that each call which
    /// the reply tells of is one that a span tells of, too.
    #[must_use]
    pub fn tool_calls_beyond(&self, told: &[ToolCall]) -> Vec<ToolCall> {
        let mut told: Vec<&ToolCall> = told.iter().collect();
        let mut rest: Vec<&TargetWork> = self.work().filter(|work| work.kind == WorkKind::Tool).collect();
        for is_same in [same_id, same_arguments, arguments_not_told, same_name] {
            rest.retain(|work| match told.iter().position(|call| is_same(work, call)) {
                Some(place) => {
                    told.remove(place);
                    false
                }
                None => true,
            });
        }
        rest.into_iter().map(TargetWork::to_call).collect()
    }
}

impl TargetWork {
    fn to_call(&self) -> ToolCall {
        ToolCall {
            id: self.call_id.clone().unwrap_or_default(),
            name: self.name.clone(),
            arguments: self.arguments.clone().unwrap_or_default(),
        }
    }
}

fn same_id(work: &TargetWork, call: &ToolCall) -> bool {
    same_name(work, call) && work.call_id.as_ref().is_some_and(|id| *id == call.id)
}

fn same_arguments(work: &TargetWork, call: &ToolCall) -> bool {
    same_name(work, call) && work.arguments.as_ref().is_some_and(|arguments| *arguments == plain(call))
}

fn arguments_not_told(work: &TargetWork, call: &ToolCall) -> bool {
    same_name(work, call) && (work.arguments.is_none() || call.arguments.is_null())
}

fn same_name(work: &TargetWork, call: &ToolCall) -> bool {
    work.name == call.name
}

/// Arguments as JSON, whether they are told as JSON or as a text of JSON.
fn plain(call: &ToolCall) -> Value {
    let parsed = call.arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| call.arguments.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, id: Option<&str>, arguments: Option<Value>) -> TargetWork {
        TargetWork {
            kind: WorkKind::Tool,
            name: name.into(),
            call_id: id.map(Into::into),
            arguments,
            ..TargetWork::default()
        }
    }

    fn told(name: &str, id: &str, arguments: Value) -> ToolCall {
        ToolCall { id: id.into(), name: name.into(), arguments }
    }

    fn report(work: Vec<TargetWork>, settled: bool) -> TargetReport {
        let heard = Some(Heard { settled, work, ..Heard::default() });
        TargetReport { span: String::new(), unknown: true, heard }
    }

    #[test]
    fn a_call_that_reply_and_span_tell_of_is_one_call() {
        let work = vec![
            tool("find", Some("b"), None),
            tool("find", Some("x"), Some(json!({ "q": 1 }))),
            tool("find", None, Some(json!({ "q": 3, "limit": 10 }))),
            tool("pay", None, None),
        ];
        let said = [
            told("find", "a", json!("{\"q\":1}")),
            told("find", "b", json!({ "q": 2 })),
            told("find", "c", json!({ "q": 3 })),
        ];
        let beyond = report(work.clone(), true).tool_calls_beyond(&said);
        assert_eq!(beyond, [told("pay", "", Value::Null)]);
        let beyond = report(work, true).tool_calls_beyond(&[]);
        assert_eq!(beyond.len(), 4);
    }

    #[test]
    fn tools_are_known_only_where_an_agents_whole_work_was_heard() {
        let request = TargetWork { name: "POST /chat".into(), ..TargetWork::default() };
        let model = TargetWork { kind: WorkKind::Model, ..TargetWork::default() };
        assert!(report(vec![request.clone()], true).tool_calls_unknown());
        assert!(report(vec![request.clone(), model.clone()], false).tool_calls_unknown());
        assert!(!report(vec![request, model], true).tool_calls_unknown());
        let told = TargetReport { unknown: false, ..TargetReport::default() };
        assert!(!told.tool_calls_unknown());
    }
}
