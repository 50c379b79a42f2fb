//! A scenario: the situation that is rehearsed and what must come of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, MAX_PARAMETERS, MAX_TEMPERATURE, ParameterDefinition, Sampling, ScriptStep};
use crate::events::{JudgeModels, MAX_TURNS_LIMIT, ScenarioId};

/// Models that a scenario chooses over the project's default, as `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleModels {
    /// Plays the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_simulator: Option<String>,
    /// Decides the criteria: one model or a panel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeModels>,
}

/// Who says the first word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Opening {
    /// The customer.
    #[default]
    User,
    /// The agent.
    Agent,
}

/// In which form the simulator is told the conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerForm {
    /// The transcript in one message, and the customer's line as a field of a JSON object: the form that small models keep to.
    #[default]
    Transcript,
    /// As a conversation in which the model is the customer and the agent is its user.
    RoleReversal,
}

/// How the customer is played.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerSettings {
    /// In which form the simulator is told the conversation.
    #[serde(default)]
    pub form: CustomerForm,
    /// Sampling temperature, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_TEMPERATURE))]
    pub temperature: Option<f64>,
    /// The most tokens of one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u32>,
    /// Makes lines repeatable where the provider takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How hard a reasoning model is to think, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
}

impl CustomerSettings {
    /// How its model is to think.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        let Self { temperature, max_tokens, seed, reasoning_effort, .. } = self.clone();
        Sampling { temperature, max_tokens, seed, reasoning_effort }
    }
}

/// A scenario's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's id.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// The situation that the customer is in.
    pub situation: String,
    /// What must hold of the conversation.
    #[serde(default)]
    pub criteria: Vec<String>,
    /// Labels for finding it again.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Turns after which the judge must decide.
    #[serde(default)]
    #[schemars(range(min = 1, max = MAX_TURNS_LIMIT))]
    pub max_turns: Option<u32>,
    /// Turns before which the judge is not asked.
    #[serde(default)]
    #[schemars(range(max = MAX_TURNS_LIMIT))]
    pub min_turns: Option<u32>,
    /// Models of the customer and the judge.
    #[serde(default)]
    pub models: RoleModels,
    /// How the customer is played.
    #[serde(default)]
    pub user_simulator: CustomerSettings,
    /// How the judge's models are to think.
    #[serde(default)]
    pub judge: Sampling,
    /// What is left open until it is run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PARAMETERS))]
    pub parameters: Vec<ParameterDefinition>,
    /// Who says the first word, where no script says.
    #[serde(default)]
    pub starts: Opening,
    /// The course of the conversation; it goes on by itself where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<ScriptStep>,
    /// What can be told without asking a model, beside the criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}
