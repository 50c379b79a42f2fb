//! What templates can read.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Map;

use super::transcript::Transcript;
use crate::events::{MessageRole, TraceContext};
use crate::execution::ports::TargetTurn;

/// The variables of one turn.
pub(crate) struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// No variables at all.
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// `messages`, `input`, `threadId`, `params`, and the trace where there is one.
    pub(crate) fn of_turn(turn: &TargetTurn<'_>, parameters: &Map<String, serde_json::Value>) -> Self {
        let mut variables = Self::none();
        variables.bind("messages", Value::from_object(Transcript::new(turn.transcript)));
        variables.bind("input", Value::from(last_line(turn)));
        variables.bind("threadId", Value::from(turn.run.run.as_str()));
        variables.bind("params", Value::from(Serde(parameters)));
        if let Some(context) = trace_context(turn) {
            variables.bind("traceId", Value::from(hex::encode(context.trace_id)));
            variables.bind("traceparent", Value::from(context.traceparent()));
        }
        variables
    }

    /// Whether `name` has a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Gives `name` a value.
    pub(crate) fn bind(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Gives `name` a JSON value.
    pub(crate) fn bind_json(&mut self, name: &str, value: &serde_json::Value) {
        self.bind(name, Value::from(Serde(value)));
    }

    pub(super) fn to_value(&self) -> Value {
        Value::from_pairs(self.0.iter().map(|(name, value)| (name.as_str(), value.clone())))
    }
}

/// The line to answer; empty if the customer said nothing.
pub(crate) fn last_line<'a>(turn: &TargetTurn<'a>) -> &'a str {
    let said = turn.transcript.iter().rev().find(|message| message.role == MessageRole::User);
    said.map_or("", |message| message.content.as_str())
}

/// The trace that the agent may continue; none if the run is not traced.
pub(crate) fn trace_context(turn: &TargetTurn<'_>) -> Option<TraceContext> {
    Some(turn.span.context()).filter(|context| context.trace_id != [0; 16])
}
