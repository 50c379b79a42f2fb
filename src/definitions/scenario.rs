//! A scenario: the situation that is rehearsed and what must come of it.

use serde::{Deserialize, Serialize};

use crate::events::ScenarioId;

/// Models that a scenario chooses over the project's default, as `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleModels {
    /// Plays the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_simulator: Option<String>,
    /// Decides the criteria.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
}

/// A scenario's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's id.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// The situation that the customer is in.
    pub situation: String,
    /// What must hold of the conversation.
    pub criteria: Vec<String>,
    /// Labels for finding it again.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Turns after which the judge must decide.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// Turns before which the judge is not asked.
    #[serde(default)]
    pub min_turns: Option<u32>,
    /// Models of the customer and the judge.
    #[serde(default)]
    pub models: RoleModels,
}
