//! Rules of the tools that the agent called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A rule of the agent's tool calls.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolRule {
    /// It calls a tool.
    Called(ToolUse),
    /// It never calls the tool of this name.
    NotCalled(String),
    /// It calls the tools of these names in this order, whatever it calls in between.
    InOrder(Vec<String>),
}

/// A tool that is called: its name, or its name and what is asked of its calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a tool's name, or `name` with `arguments` and `times`")]
pub enum ToolUse {
    /// At least once, with whatever arguments.
    Name(String),
    /// As it is described.
    #[serde(rename_all = "camelCase")]
    Described(ToolCalls),
}

/// What is asked of the calls of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolCalls {
    /// The tool.
    pub name: String,
    /// What their arguments have at least: objects may have more, everything else is the same. Other calls do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Map<String, Value>>,
    /// How many there are; at least one where nothing says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of calls, or `min` and `max`")]
pub enum Times {
    /// This many.
    Exactly(u32),
    /// As many as these bounds allow.
    Between(Range),
}

/// Bounds, both of them included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// No fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// No more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl Range {
    /// The bounds in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => min.to_string(),
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any number of".to_owned(),
        }
    }
}

impl ToolUse {
    /// The tool.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Described(calls) => &calls.name,
        }
    }

    /// What the arguments of a call have at least.
    #[must_use]
    pub fn arguments(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Name(_) => None,
            Self::Described(calls) => calls.arguments.as_ref(),
        }
    }

    /// How many calls there are.
    #[must_use]
    pub fn times(&self) -> Range {
        match self {
            Self::Described(ToolCalls { times: Some(Times::Exactly(times)), .. }) => {
                Range { min: Some(*times), max: Some(*times) }
            }
            Self::Described(ToolCalls { times: Some(Times::Between(range)), .. }) => *range,
            Self::Name(_) | Self::Described(_) => Range { min: Some(1), max: None },
        }
    }
}

impl ToolRule {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Called(tool) => {
                let with = tool.arguments().map(|given| format!(" with {}", Value::Object(given.clone())));
                let times = format!(" ({} times)", tool.times().in_words());
                let times = if tool.times() == ToolUse::Name(String::new()).times() { "" } else { &times };
                format!("the agent calls `{}`{}{times}", tool.name(), with.unwrap_or_default())
            }
            Self::NotCalled(name) => format!("the agent does not call `{name}`"),
            Self::InOrder(names) => {
                let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
                format!("the agent calls {} in this order", names.join(", "))
            }
        }
    }
}
