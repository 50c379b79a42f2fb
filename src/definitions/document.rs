//! All that one document of a definition file says.

use super::{AgentDefinition, Project, Prompt, Provider, Scenario, Secrets};

/// One project with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The project that everything else belongs to.
    pub project: Project,
    /// Its model providers.
    pub providers: Vec<Provider>,
    /// Its secrets by name.
    pub secrets: Secrets,
    /// Its prompts.
    pub prompts: Vec<Prompt>,
    /// Its agents under test.
    pub agents: Vec<AgentDefinition>,
    /// Its scenarios.
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
