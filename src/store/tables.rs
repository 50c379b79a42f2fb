//! The SQL, one text for both databases, and how it is run.

use sqlx::any::Any;
use sqlx::{Executor, FromRow};

use super::Kind;
use super::sealing::{HEAD_CHARS, MARK};

/// The statements of one kind's table.
pub(super) struct Table {
    one: &'static str,
    all: &'static str,
    upsert: &'static str,
    delete: &'static str,
    every: &'static str,
    heads: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            one: concat!("SELECT id, document FROM ", $name, " WHERE project_id = $1 AND id = $2"),
            all: concat!("SELECT id, document FROM ", $name, " WHERE project_id = $1"),
            upsert: concat!(
                "INSERT INTO ",
                $name,
                " (project_id, id, document) VALUES ($1, $2, $3) ",
                "ON CONFLICT (project_id, id) DO UPDATE SET document = excluded.document"
            ),
            delete: concat!("DELETE FROM ", $name, " WHERE project_id = $1 AND id = $2"),
            every: concat!("SELECT project_id, id, document FROM ", $name),
            heads: concat!(
                "SELECT substr(document, 1, $1) AS head, MIN(project_id) AS project_id FROM ",
                $name,
                " WHERE document LIKE $2 GROUP BY 1"
            ),
        }
    };
}

static PROJECTS: Table = table!("projects");
static PROVIDERS: Table = table!("providers");
static SECRETS: Table = table!("secrets");
static PROMPTS: Table = table!("prompts");
static AGENTS: Table = table!("agents");
static SCENARIOS: Table = table!("scenarios");

/// A definition as it is kept: its JSON text has credentials in it.
#[derive(FromRow)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) document: String,
}

/// A definition of any project.
#[derive(FromRow)]
pub(super) struct PlacedRow {
    pub(super) project_id: String,
    #[sqlx(flatten)]
    pub(super) row: Row,
}

/// What some sealed definitions begin with, and a project that has one of them.
#[derive(FromRow)]
pub(super) struct SealedHead {
    pub(super) head: String,
    pub(super) project_id: String,
}

impl Table {
    pub(super) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Project => &PROJECTS,
            Kind::Provider => &PROVIDERS,
            Kind::Secret => &SECRETS,
            Kind::Prompt => &PROMPTS,
            Kind::Agent => &AGENTS,
            Kind::Scenario => &SCENARIOS,
        }
    }

    /// Whether any project is there.
    pub(super) async fn is_any_project(
        database: impl Executor<'_, Database = Any>,
    ) -> Result<bool, sqlx::Error> {
        let first = sqlx::query("SELECT id FROM projects LIMIT 1").fetch_optional(database).await?;
        Ok(first.is_some())
    }

    pub(super) async fn one(
        &self,
        database: impl Executor<'_, Database = Any>,
        project: &str,
        id: &str,
    ) -> Result<Option<Row>, sqlx::Error> {
        sqlx::query_as(self.one).bind(project).bind(id).fetch_optional(database).await
    }

    /// Every row of `project`, by id. They are sorted here because databases differ in how they compare texts.
    pub(super) async fn all(
        &self,
        database: impl Executor<'_, Database = Any>,
        project: &str,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut rows: Vec<Row> = sqlx::query_as(self.all).bind(project).fetch_all(database).await?;
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(rows)
    }

    /// Every row of every project.
    pub(super) async fn every(
        &self,
        database: impl Executor<'_, Database = Any>,
    ) -> Result<Vec<PlacedRow>, sqlx::Error> {
        sqlx::query_as(self.every).fetch_all(database).await
    }

    /// What sealed rows begin with, each beginning once.
    pub(super) async fn sealed_heads(
        &self,
        database: impl Executor<'_, Database = Any>,
    ) -> Result<Vec<SealedHead>, sqlx::Error> {
        let query = sqlx::query_as(self.heads).bind(HEAD_CHARS).bind(format!("{MARK}%"));
        query.fetch_all(database).await
    }

    pub(super) async fn upsert(
        &self,
        database: impl Executor<'_, Database = Any>,
        project: &str,
        row: &Row,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(self.upsert).bind(project).bind(&row.id).bind(&row.document);
        query.execute(database).await.map(drop)
    }

    pub(super) async fn delete(
        &self,
        database: impl Executor<'_, Database = Any>,
        project: &str,
        id: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(self.delete).bind(project).bind(id).execute(database).await.map(drop)
    }
}
