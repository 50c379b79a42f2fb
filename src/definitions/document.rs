//! All that one document of a definition file says.

use schemars::JsonSchema;

use super::{AgentDefinition, Project, Prompt, Provider, Scenario, Secrets};

/// One project with what belongs to it.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Document {
    /// The project that everything else belongs to.
    pub project: Project,
    /// Its model providers.
    #[schemars(with = "Option<Vec<Provider>>")]
    pub providers: Vec<Provider>,
    /// Its secrets by name.
    #[schemars(with = "Option<Secrets>")]
    pub secrets: Secrets,
    /// Its prompts.
    #[schemars(with = "Option<Vec<Prompt>>")]
    pub prompts: Vec<Prompt>,
    /// Its agents under test.
    #[schemars(with = "Option<Vec<AgentDefinition>>")]
    pub agents: Vec<AgentDefinition>,
    /// Its scenarios.
    #[schemars(with = "Option<Vec<Scenario>>")]
    pub scenarios: Vec<Scenario>,
}

impl Document {
    /// Whether it has a value that is known to be a credential. Agents may have more, which only their types know.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let telemetry = self.project.telemetry.as_ref();
        !self.secrets.is_empty()
            || self.providers.iter().any(|provider| provider.api_key.is_some())
            || telemetry.is_some_and(|destination| destination.api_key.is_some())
    }
}
