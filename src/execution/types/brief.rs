//! What a run rehearses.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::definitions::Scenario;
use crate::events::JudgeModels;

/// What a run rehearses, as it was resolved when the run began. It is kept with the conversation, so that an import
/// does not change the rules of a run that is under way.
///
/// It says nothing of how anybody is reached: addresses and credentials are read anew by every worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// The scenario, its parameters filled in.
    pub scenario: Scenario,
    /// Turns after which the judge must decide.
    pub max_turns: u32,
    /// Turns before which the judge is not asked.
    pub min_turns: u32,
    /// Plays the customer, as `provider/model`.
    pub user_simulator: String,
    /// Decide the criteria, as `provider/model`.
    pub judges: JudgeModels,
    /// The scenario's parameters by name, secret ones left out.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// What the target's type keeps of its definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Value>,
}
