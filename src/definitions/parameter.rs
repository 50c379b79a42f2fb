//! What a scenario leaves open until it is run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A parameter that a scenario declares: its text may read it as `{{ name }}`, and templates of targets as
/// `{{ params.name }}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParameterDefinition {
    /// Its name: a letter or `_`, then letters, digits and `_`.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value where a request gives none: a text, a number, or true or false.
    #[serde(default, alias = "default", skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Value>,
    /// Its value is a secret: only a target's `{{ secrets.name }}` reads it, and no definition holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}
