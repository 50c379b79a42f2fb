//! What can be told of a conversation without asking a model.

use serde::{Deserialize, Serialize};

/// A deterministic check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// How the outcome calls it; its rule in words where there is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it fails, the judge is not asked at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// A text that the agent has to say.
    pub contains: String,
}

impl Check {
    /// How the outcome calls it.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("the agent says “{}”", self.contains))
    }
}
