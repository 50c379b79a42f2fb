//! What a run rehearses.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::definitions::Scenario;
use crate::events::{JudgeModels, ScenarioSummary};
use crate::text::cut;

/// How much of the situation an event says, in bytes: enough to know what is rehearsed, too little to keep the event from
/// being published.
const TOLD_SITUATION_BYTES: usize = 8 * 1024;

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

impl Brief {
    /// The scenario as events name it.
    #[must_use]
    pub fn summary(&self) -> ScenarioSummary {
        let Scenario { name, labels, situation, .. } = &self.scenario;
        ScenarioSummary {
            name: name.clone(),
            labels: labels.clone(),
            situation: Some(cut(situation, TOLD_SITUATION_BYTES)),
        }
    }

    /// The parameters that events say: those that the scenario declares, which have a limited length and are not secret. A
    /// scenario that declares none takes whatever it is given, and nobody has said of that what it is.
    #[must_use]
    pub fn told_parameters(&self) -> Map<String, Value> {
        let declared = self.scenario.parameters.iter().filter(|parameter| !parameter.secret);
        declared.filter_map(|parameter| self.parameters.get_key_value(&parameter.name)).map(clone).collect()
    }
}

fn clone((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}
