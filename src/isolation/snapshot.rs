//! The definitions of one run, as its process finds them.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definitions::{AgentDefinition, Project, Prompt, Provider, Scenario, Secret, Secrets};
use crate::events::{ProjectId, ReferenceId, ScenarioId};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, ScenarioRepository,
    SecretRepository,
};

/// The shortest text of an agent's definition that is taken for a credential, in bytes: shorter ones are words.
const SHORTEST_CREDENTIAL: usize = 6;

/// What one run needs of a project. Whatever else is asked of it is not there. `Debug` shows nothing of it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub(super) project: Option<Project>,
    pub(super) scenario: Option<Scenario>,
    pub(super) providers: Vec<Provider>,
    pub(super) prompt: Option<Prompt>,
    pub(super) agent: Option<AgentDefinition>,
    #[serde(serialize_with = "Secret::serialize_all_exposed")]
    pub(super) secrets: Secrets,
    /// The project's other secrets: they are taken out of what is said, and templates do not find them.
    #[serde(default, serialize_with = "Secret::serialize_all_exposed")]
    pub(super) hidden: Secrets,
}

impl Snapshot {
    /// Every value in it that may be a credential.
    pub(super) fn credentials(&self) -> Vec<String> {
        let telemetry =
            self.project.iter().filter_map(|project| project.telemetry.as_ref()?.api_key.as_ref());
        let keys = self.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let secrets = self.secrets.values().chain(self.hidden.values()).chain(telemetry).chain(keys);
        let mut values: Vec<String> = secrets.map(|secret| secret.expose().to_owned()).collect();
        values.extend(self.agent.iter().flat_map(|agent| agent.config.values()).flat_map(credentials_of));
        values
    }

    fn of(&self, project: &ProjectId) -> bool {
        self.project.as_ref().is_some_and(|own| own.id == *project)
    }
}

/// Every text of what an adapter alone understands: nobody else knows which of them are credentials.
pub(super) fn credentials_of(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    texts(value, &mut found);
    found
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= SHORTEST_CREDENTIAL => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

#[async_trait]
impl ScenarioRepository for Snapshot {
    async fn scenario(&self, project: &ProjectId, id: &ScenarioId) -> Result<Option<Scenario>, Unavailable> {
        let found = self.scenario.clone().filter(|scenario| self.of(project) && scenario.id == *id);
        Ok(found)
    }
}

#[async_trait]
impl ProjectRepository for Snapshot {
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, Unavailable> {
        Ok(self.project.clone().filter(|project| project.id == *id))
    }
}

#[async_trait]
impl ProviderRepository for Snapshot {
    async fn providers(&self, project: &ProjectId) -> Result<Vec<Provider>, Unavailable> {
        Ok(if self.of(project) { self.providers.clone() } else { Vec::new() })
    }
}

#[async_trait]
impl PromptRepository for Snapshot {
    async fn prompt(&self, project: &ProjectId, id: &ReferenceId) -> Result<Option<Prompt>, Unavailable> {
        Ok(self.prompt.clone().filter(|prompt| self.of(project) && prompt.id == id.as_str()))
    }
}

#[async_trait]
impl AgentRepository for Snapshot {
    async fn agent(
        &self,
        project: &ProjectId,
        id: &ReferenceId,
    ) -> Result<Option<AgentDefinition>, Unavailable> {
        Ok(self.agent.clone().filter(|agent| self.of(project) && agent.id == id.as_str()))
    }
}

#[async_trait]
impl SecretRepository for Snapshot {
    async fn secrets(&self, project: &ProjectId) -> Result<Secrets, Unavailable> {
        Ok(if self.of(project) { self.secrets.clone() } else { Secrets::new() })
    }

    async fn hidden(&self, project: &ProjectId) -> Result<Vec<Secret>, Unavailable> {
        Ok(if self.of(project) { self.hidden.values().cloned().collect() } else { Vec::new() })
    }
}
