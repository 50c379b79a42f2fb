//! Model providers, the offline one included.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CallLimits, Secret};
use crate::events::{Cost, CriterionStatus};

/// Which API a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Chat completions with tools: `OpenAI`, `LiteLLM`, vLLM, Ollama, llama.cpp.
    Openai,
    /// Anthropic messages.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Offline: says what the definition says.
    Scripted,
}

/// A model provider of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// The part of a model's name before the slash.
    pub id: String,
    /// Which API it speaks.
    pub kind: ProviderKind,
    /// Its base URL; the vendor's own where none is given.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Its key.
    #[serde(default, serialize_with = "Secret::serialize_exposed")]
    pub api_key: Option<Secret>,
    /// False keeps the definition but refuses its use.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Send `provider/model` upstream instead of `model`, for `LiteLLM`.
    #[serde(default)]
    pub send_full_name: bool,
    /// Time for one call in seconds, retries not included.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// The longest pause of an answer that comes bit by bit, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// How many calls its key may be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CallLimits>,
    /// What its models cost, by the names that they have at the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, Price>,
    /// The models of a scripted provider by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ScriptedModel>,
}

/// What a model costs, in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// For a million tokens sent to it.
    pub input_per_million: Cost,
    /// For a million tokens that come back.
    pub output_per_million: Cost,
}

impl Price {
    /// What a call costs.
    #[must_use]
    pub fn of(&self, input_tokens: u64, output_tokens: u64) -> Cost {
        let input = self.input_per_million.per_million(input_tokens);
        input.plus(self.output_per_million.per_million(output_tokens))
    }
}

fn enabled() -> bool {
    true
}

/// An offline model: its lines as customer or agent, its judgements as judge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScriptedModel {
    /// What it says: the first reply whose `when` occurs in the last thing said to it, else the reply
    /// of the turn among those without `when`, the last of them repeated.
    #[serde(default)]
    pub replies: Vec<ScriptedReply>,
    /// How it judges the criteria.
    #[serde(default)]
    pub verdicts: Vec<ScriptedVerdict>,
    /// How it judges a criterion that no entry of `verdicts` speaks of; `met` if unset.
    #[serde(default)]
    pub otherwise: Option<CriterionStatus>,
    /// How long it thinks, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Fail every call like this.
    #[serde(default)]
    pub fail: Option<ScriptedFailure>,
    /// Forms of answers that it refuses, as models do that cannot call tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuses: Vec<ScriptedForm>,
    /// As a judge, it rests what it finds met on words that nobody said.
    #[serde(default)]
    pub invents_quotes: bool,
}

/// A form of answers that an offline model may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptedForm {
    /// The call of a tool.
    Tool,
    /// JSON by a schema that the provider enforces.
    Schema,
}

/// One line of an offline model: a string, or a string for an occasion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected a text, or `when` and `text` and nothing else")]
pub enum ScriptedReply {
    /// Said in its turn.
    Line(String),
    /// Said when `when` occurs, letter case aside, in the last thing said.
    Occasion {
        /// What must occur.
        when: String,
        /// What is said then.
        text: String,
    },
}

/// How an offline judge decides a criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScriptedVerdict {
    /// Occurs in the criterion's text, letter case aside.
    pub criterion: String,
    /// The criterion is met once the agent has said this, letter case aside; unmet until then.
    #[serde(default)]
    pub met_if: Option<String>,
    /// The criterion is unmet once the agent has said this, letter case aside; met until then.
    #[serde(default)]
    pub unmet_if: Option<String>,
}

/// A failure of an offline model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScriptedFailure {
    /// The HTTP status that it stands for.
    pub status: u16,
    /// What the provider says.
    pub message: String,
}
