//! What templates can read.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Map;

use super::transcript::Transcript;
use crate::definitions::{FieldMapping, FieldMappings, ScenarioField};
use crate::events::{MessageRole, TraceContext};
use crate::execution::ports::TargetTurn;

/// The facts of a turn under their own names.
pub(crate) const BASE_NAMES: [(&str, ScenarioField); 3] = [
    ("messages", ScenarioField::Messages),
    ("input", ScenarioField::Input),
    ("threadId", ScenarioField::ThreadId),
];

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
        for (name, field) in BASE_NAMES {
            variables.bind_field(name, field, turn);
        }
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

    /// Gives each mapped name what it stands for, over whatever had the name.
    pub(crate) fn bind_mapped(&mut self, mappings: &FieldMappings, turn: &TargetTurn<'_>) {
        for (name, mapping) in mappings {
            match mapping {
                FieldMapping::Source { path: [field], .. } => self.bind_field(name, *field, turn),
                FieldMapping::Value { value } => self.bind_json(name, value),
            }
        }
    }

    /// Gives `name` a fact of the turn.
    pub(crate) fn bind_field(&mut self, name: &str, field: ScenarioField, turn: &TargetTurn<'_>) {
        match field {
            ScenarioField::Input => self.bind(name, last_line(turn)),
            ScenarioField::Messages => {
                self.bind(name, Value::from_object(Transcript::new(turn.transcript)));
            }
            ScenarioField::ThreadId => self.bind(name, turn.run.run.as_str()),
        }
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
