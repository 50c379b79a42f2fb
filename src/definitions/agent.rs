//! An agent under test that lives behind an interface.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::events::TargetType;

/// An agent: its id, its type, and what the adapter of that type makes of the rest.
///
/// The rest stays untyped here so that a new target type needs no change in this room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentDefinition {
    /// The agent's id.
    pub id: String,
    /// Which adapter it is for.
    #[serde(rename = "type")]
    pub kind: TargetType,
    /// What that adapter reads.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}
