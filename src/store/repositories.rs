//! The store as execution, models and adapters see it.

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::sealing::Label;
use super::tables::{Row, Table};
use super::{Kind, Store, StoreError};
use crate::definitions::{AgentDefinition, Project, Prompt, Provider, Scenario, Secrets};
use crate::events::{ProjectId, ReferenceId, ScenarioId};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, ScenarioRepository,
    SecretRepository,
};

#[async_trait]
impl ScenarioRepository for Store {
    async fn scenario(&self, project: &ProjectId, id: &ScenarioId) -> Result<Option<Scenario>, Unavailable> {
        Ok(self.one(Kind::Scenario, project, id.as_str()).await?)
    }
}

#[async_trait]
impl ProjectRepository for Store {
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, Unavailable> {
        let project = self.one(Kind::Project, id, id.as_str()).await?;
        // A run must not end because its worker looks into an empty database.
        if project.is_none() {
            self.check_filled().await?;
        }
        Ok(project)
    }
}

#[async_trait]
impl ProviderRepository for Store {
    async fn providers(&self, project: &ProjectId) -> Result<Vec<Provider>, Unavailable> {
        let named = self.all(Kind::Provider, project).await?;
        Ok(named.into_iter().map(|(_, provider)| provider).collect())
    }
}

#[async_trait]
impl PromptRepository for Store {
    async fn prompt(&self, project: &ProjectId, id: &ReferenceId) -> Result<Option<Prompt>, Unavailable> {
        Ok(self.one(Kind::Prompt, project, id.as_str()).await?)
    }
}

#[async_trait]
impl AgentRepository for Store {
    async fn agent(
        &self,
        project: &ProjectId,
        id: &ReferenceId,
    ) -> Result<Option<AgentDefinition>, Unavailable> {
        Ok(self.one(Kind::Agent, project, id.as_str()).await?)
    }
}

#[async_trait]
impl SecretRepository for Store {
    async fn secrets(&self, project: &ProjectId) -> Result<Secrets, Unavailable> {
        Ok(self.all(Kind::Secret, project).await?.into_iter().collect())
    }
}

impl Store {
    async fn one<T: DeserializeOwned>(
        &self,
        kind: Kind,
        project: &ProjectId,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let row = Table::of(kind).one(self.pool(), project.as_str(), id).await;
        let row = row.map_err(|source| self.failed(&reading(kind, project, id), source))?;
        row.map(|row| self.decode(kind, project, row)).transpose()
    }

    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        kind: Kind,
        project: &ProjectId,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let rows = Table::of(kind).all(self.pool(), project.as_str()).await;
        let rows = rows
            .map_err(|source| self.failed(&format!("reading every {kind} of project '{project}'"), source))?;
        rows.into_iter().map(|row| Ok((row.id.clone(), self.decode(kind, project, row)?))).collect()
    }

    fn decode<T: DeserializeOwned>(
        &self,
        kind: Kind,
        project: &ProjectId,
        row: Row,
    ) -> Result<T, StoreError> {
        let label = Label { kind, project: project.as_str(), id: &row.id };
        let document = self.open_document(label, row.document)?;
        let mut json = serde_json::Deserializer::from_str(&document);
        serde_path_to_error::deserialize(&mut json).map_err(|error| StoreError::Document {
            attempted: self.attempt(&reading(kind, project, &row.id)),
            place: format!("at `{}`, column {}", error.path(), error.inner().column()),
        })
    }
}

fn reading(kind: Kind, project: &ProjectId, id: &str) -> String {
    format!("reading {kind} '{id}' of project '{project}'")
}
