//! What people write about an HTTP agent.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::definitions::{AgentDefinition, FieldMappings, Secret};
use crate::execution::ports::OnUnknown;

/// The method of a definition that names none.
const DEFAULT_METHOD: &str = "POST";

/// An HTTP agent's part of its definition. It has no `Debug`: any text of it may be a credential.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::adapters) struct HttpDefinition {
    /// Where the agent answers: a template.
    pub(super) url: String,
    /// The method of its requests.
    #[serde(default = "default_method")]
    pub(super) method: String,
    /// Headers of its requests, in order.
    #[serde(default)]
    pub(super) headers: Vec<HeaderDefinition>,
    /// How a request proves where it comes from.
    #[serde(default)]
    pub(super) auth: AuthDefinition,
    /// The body of its requests: a template.
    #[serde(default)]
    pub(super) body_template: Option<String>,
    /// Variables of the templates, and what each stands for.
    #[serde(default)]
    pub(super) field_mappings: FieldMappings,
    /// Where in the reply the agent's words are: a `JSONPath`.
    #[serde(default)]
    pub(super) output_path: Option<String>,
    /// What to do about a request that was under way when its worker was lost.
    #[serde(default)]
    pub(super) on_unknown: OnUnknownDefinition,
    /// Time for one reply, in seconds.
    #[serde(default)]
    pub(super) timeout_seconds: Option<u64>,
}

/// What to do about a request whose end is unknown.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnUnknownDefinition {
    /// Send it again, under the same `Idempotency-Key`.
    #[default]
    Retry,
    /// Give the run up.
    Fail,
}

impl From<OnUnknownDefinition> for OnUnknown {
    fn from(definition: OnUnknownDefinition) -> Self {
        match definition {
            OnUnknownDefinition::Retry => Self::Retry,
            OnUnknownDefinition::Fail => Self::Fail,
        }
    }
}

/// One header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderDefinition {
    /// Its name.
    pub(super) key: String,
    /// Its value: a template.
    pub(super) value: String,
}

/// How a request proves where it comes from. Every field may name secrets; none is a template.
#[derive(Default, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum AuthDefinition {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer {token}`.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A header of the agent's own.
    ApiKey {
        /// Its name.
        header: String,
        /// Its value.
        value: Secret,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        username: String,
        /// The password; empty where none is given.
        #[serde(default = "no_password")]
        password: Secret,
    },
}

fn default_method() -> String {
    DEFAULT_METHOD.to_owned()
}

fn no_password() -> Secret {
    Secret::new("")
}

impl HttpDefinition {
    /// Reads an agent's untyped part.
    pub(super) fn read(agent: &AgentDefinition) -> Result<Self, String> {
        read(agent.config.clone())
    }
}

/// Reads what people wrote. An error names the place, and no value.
pub(in crate::adapters) fn read<T: DeserializeOwned>(config: Map<String, Value>) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(config)).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!("{place}: ") };
        format!("{place}{}", without_value(&error.inner().to_string()))
    })
}

/// A value of the wrong type may be a credential that was not quoted, so it is not repeated.
fn without_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((invalid, expected)) if invalid.starts_with("invalid ") => {
            format!("the value is not valid, expected {expected}")
        }
        _ => message.to_owned(),
    }
}
