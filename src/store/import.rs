//! From definition files into the database, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::AnyConnection;

use super::files::ParsedDocument;
use super::plan::{AgentCheck, Plan, ProjectPlan};
use super::sealing::{Label, UnsealError};
use super::tables::{Row, Table};
use super::{ImportError, ImportReport, Kind, Store, StoreError};
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
        Ok(written.map_err(|unwritten| match unwritten {
            Unwritten::Database(source) => self.failed("importing definitions", source),
            Unwritten::Sealing(error) => error,
        })?)
    }

    async fn write(
        &self,
        plan: &BTreeMap<ProjectId, ProjectPlan>,
        mode: ImportMode,
    ) -> Result<ImportReport, Unwritten> {
        let mut transaction = self.begin_writing().await?;
        let mut report = ImportReport::default();
        for (project, named) in plan {
            let mut project =
                ProjectImport { store: self, id: project, report: &mut report, connection: &mut transaction };
            for kind in Kind::ALL {
                project.kind(kind, named, mode).await?;
            }
        }
        transaction.commit().await?;
        Ok(report)
    }
}

/// Why an import is not written.
enum Unwritten {
    Database(sqlx::Error),
    Sealing(StoreError),
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Sealing(error)
    }
}

/// How a definition that is there compares with the one to be imported.
#[derive(PartialEq, Eq)]
enum Stored {
    Differs,
    Same,
    /// It says the same, but would be sealed otherwise now.
    SameSealedOtherwise,
}

/// The import of one project.
struct ProjectImport<'a> {
    store: &'a Store,
    id: &'a ProjectId,
    report: &'a mut ImportReport,
    connection: &'a mut AnyConnection,
}

impl ProjectImport<'_> {
    async fn kind(&mut self, kind: Kind, named: &ProjectPlan, mode: ImportMode) -> Result<(), Unwritten> {
        let rows = Table::of(kind).all(&mut *self.connection, self.id.as_str()).await?;
        let stored: BTreeMap<String, String> = rows.into_iter().map(|row| (row.id, row.document)).collect();
        let mut unnamed: BTreeSet<&str> = stored.keys().map(String::as_str).collect();
        for ((_, id), document) in named.iter().filter(|((of, _), _)| *of == kind) {
            unnamed.remove(id.as_str());
            self.put(kind, id, document, stored.get(id)).await?;
        }
        if mode.prune {
            self.remove(kind, unnamed).await?;
        }
        Ok(())
    }

    async fn put(
        &mut self,
        kind: Kind,
        id: &str,
        document: &str,
        stored: Option<&String>,
    ) -> Result<(), Unwritten> {
        let label = Label { kind, project: self.id.as_str(), id };
        let stored = stored.map(|stored| self.compare(label, stored, document)).transpose()?;
        let count = self.report.count(kind);
        match stored {
            None => count.created += 1,
            Some(Stored::Differs) => count.updated += 1,
            Some(Stored::Same | Stored::SameSealedOtherwise) => count.unchanged += 1,
        }
        if stored == Some(Stored::Same) {
            return Ok(());
        }
        let row = Row { id: id.to_owned(), document: self.store.seal_document(label, document)? };
        Ok(Table::of(kind).upsert(&mut *self.connection, self.id.as_str(), &row).await?)
    }

    /// One that was tampered with is different: importing it mends it.
    fn compare(&self, label: Label<'_>, stored: &str, new: &str) -> Result<Stored, StoreError> {
        match self.store.open_document(label, stored.to_owned()) {
            Ok(opened) if !same(&opened, new) => Ok(Stored::Differs),
            Ok(_) if self.store.is_current(label.kind, stored) => Ok(Stored::Same),
            Ok(_) => Ok(Stored::SameSealedOtherwise),
            Err(StoreError::Sealed { source: UnsealError::Broken, .. }) => Ok(Stored::Differs),
            Err(error) => Err(error),
        }
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
