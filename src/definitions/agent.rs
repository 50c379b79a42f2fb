//! An agent under test that lives behind an interface.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CallLimits;
use crate::events::schema::LABEL_PATTERN;
use crate::events::{MAX_ID_CHARS, TargetType};

/// An agent: its id, its type, and what the adapter of that type makes of the rest.
///
/// The rest stays untyped here so that a new target type needs no change in this room. `Debug` shows only the
/// names in it: nobody here knows which of its values are credentials.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentDefinition {
    /// The agent's id.
    #[schemars(length(min = 1, max = MAX_ID_CHARS), regex(pattern = LABEL_PATTERN))]
    pub id: String,
    /// Which adapter it is for.
    #[serde(rename = "type")]
    pub kind: TargetType,
    /// How many calls it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CallLimits>,
    /// What that adapter reads.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

impl fmt::Debug for AgentDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentDefinition")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("limits", &self.limits)
            .field("config", &self.config.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_does_not_print_what_may_be_a_credential() {
        let agent: AgentDefinition =
            serde_json::from_str(r#"{"id":"shop","type":"http","auth":{"token":"hunter2"}}"#).unwrap();
        let printed = format!("{agent:?}");
        assert!(printed.contains("shop") && printed.contains("auth"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
