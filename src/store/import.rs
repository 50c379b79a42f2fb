//! From definition files into the database, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::AnyConnection;

use super::files::ParsedDocument;
use super::plan::{AgentCheck, Plan, ProjectPlan};
use super::tables::{Row, Table};
use super::{ImportError, ImportReport, Kind, Store};
use crate::events::ProjectId;

/// How an import treats what is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportMode {
    /// Remove what a named project has and its documents do not name. Other projects are left alone.
    pub prune: bool,
}

impl Store {
    /// Creates or updates what `documents` name: all of it, or nothing if anything is wrong.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] with everything that is wrong and where, or [`ImportError::Store`] if the
    /// database does not take it.
    pub async fn import(
        &self,
        documents: &[ParsedDocument],
        mode: ImportMode,
        agents: &dyn AgentCheck,
    ) -> Result<ImportReport, ImportError> {
        let plan = Plan::of(documents, agents)?;
        let written = self.write(&plan, mode).await;
        Ok(written.map_err(|source| self.failed("importing definitions", source))?)
    }

    async fn write(
        &self,
        plan: &BTreeMap<ProjectId, ProjectPlan>,
        mode: ImportMode,
    ) -> Result<ImportReport, sqlx::Error> {
        let mut transaction = self.begin_writing().await?;
        let mut report = ImportReport::default();
        for (project, named) in plan {
            let mut project =
                ProjectImport { id: project, report: &mut report, connection: &mut transaction };
            for kind in Kind::ALL {
                project.kind(kind, named, mode).await?;
            }
        }
        transaction.commit().await?;
        Ok(report)
    }
}

/// The import of one project.
struct ProjectImport<'a> {
    id: &'a ProjectId,
    report: &'a mut ImportReport,
    connection: &'a mut AnyConnection,
}

impl ProjectImport<'_> {
    async fn kind(&mut self, kind: Kind, named: &ProjectPlan, mode: ImportMode) -> Result<(), sqlx::Error> {
        let rows = Table::of(kind).all(&mut *self.connection, self.id.as_str()).await?;
        let stored: BTreeMap<String, String> = rows.into_iter().map(|row| (row.id, row.document)).collect();
        let mut unnamed: BTreeSet<&str> = stored.keys().map(String::as_str).collect();
        for ((_, id), document) in named.iter().filter(|((of, _), _)| *of == kind) {
            unnamed.remove(id.as_str());
            let row = Row { id: id.clone(), document: document.clone() };
            self.put(kind, row, stored.get(id)).await?;
        }
        if mode.prune {
            self.remove(kind, unnamed).await?;
        }
        Ok(())
    }

    async fn put(&mut self, kind: Kind, row: Row, stored: Option<&String>) -> Result<(), sqlx::Error> {
        let count = self.report.count(kind);
        match stored {
            None => count.created += 1,
            Some(stored) if same(stored, &row.document) => {
                count.unchanged += 1;
                return Ok(());
            }
            Some(_) => count.updated += 1,
        }
        Table::of(kind).upsert(&mut *self.connection, self.id.as_str(), &row).await
    }

    async fn remove(&mut self, kind: Kind, ids: BTreeSet<&str>) -> Result<(), sqlx::Error> {
        for id in ids {
            Table::of(kind).delete(&mut *self.connection, self.id.as_str(), id).await?;
            self.report.count(kind).removed += 1;
        }
        Ok(())
    }
}

/// Whether two documents say the same; the order of their keys says nothing.
fn same(stored: &str, new: &str) -> bool {
    let (stored, new) = (serde_json::from_str::<Value>(stored), serde_json::from_str::<Value>(new));
    matches!((stored, new), (Ok(stored), Ok(new)) if stored == new)
}
