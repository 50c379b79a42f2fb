//! Which definitions there are.

use super::tables::Table;
use super::{Kind, Store, StoreError};
use crate::definitions::AgentDefinition;
use crate::events::{ProjectId, ReferenceId, TargetRef, TargetType};

/// Targets of this type are prompts; all others are agents.
const PROMPT: &str = "prompt";

impl Store {
    /// The ids of all definitions of `kind` in `project`, sorted.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub async fn names(&self, kind: Kind, project: &ProjectId) -> Result<Vec<String>, StoreError> {
        let rows = Table::of(kind).all(self.pool(), project.as_str()).await;
        let rows =
            rows.map_err(|source| self.failed(&format!("listing every {kind} of '{project}'"), source))?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// The ids of all projects, sorted.
    ///
    /// # Errors
    /// As [`Store::names`].
    pub async fn project_names(&self) -> Result<Vec<String>, StoreError> {
        let rows = Table::of(Kind::Project).every(self.pool()).await;
        let rows = rows.map_err(|source| self.failed("listing every project", source))?;
        let mut names: Vec<String> = rows.into_iter().map(|placed| placed.project_id).collect();
        names.sort();
        Ok(names)
    }

    /// Everything in `project` that can be under test: prompts, then agents.
    ///
    /// # Errors
    /// As [`Store::names`], and if an agent cannot be read.
    pub async fn targets(&self, project: &ProjectId) -> Result<Vec<TargetRef>, StoreError> {
        let prompts = self.names(Kind::Prompt, project).await?.into_iter().filter_map(|id| {
            let kind = TargetType::parse(PROMPT).ok()?;
            Some(TargetRef { kind, reference_id: ReferenceId::parse(id).ok()? })
        });
        let agents = self.all::<AgentDefinition>(Kind::Agent, project).await?;
        let agents = agents.into_iter().filter_map(|(id, agent)| {
            Some(TargetRef { kind: agent.kind, reference_id: ReferenceId::parse(id).ok()? })
        });
        Ok(prompts.chain(agents).collect())
    }
}
