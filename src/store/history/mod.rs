//! The history of runs in the database.

mod row;
mod statements;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};
use time::OffsetDateTime;

use self::row::{NewRun, SummaryRow};
use self::statements::{Listing, insert};
use super::{Store, StoreError};
use crate::events::{RunCompleted, RunKey};
use crate::execution::failure::Unavailable;
use crate::execution::history::{HistoryFilter, RecordError, RunHistory, RunRecord, RunSummary, micros};

const ONE: &str = "SELECT document FROM runs WHERE project_id = $1 AND run_id = $2";
/// Whoever moves the time has the turn.
const TAKE_TURN: &str = "UPDATE upkeep SET due_at = $1 WHERE task = 'prune_runs' AND due_at <= $2";
/// Oldest first, so that what is left over is the newest of it.
const PRUNE: &str = "DELETE FROM runs WHERE (project_id, run_id) IN \
    (SELECT project_id, run_id FROM runs WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)";
/// Classes of SQLSTATE that are about values: data exceptions and broken constraints.
const ABOUT_VALUES: [&str; 2] = ["22", "23"];

#[async_trait]
impl RunHistory for Store {
    async fn record(&self, runs: &[RunRecord]) -> Result<u64, RecordError> {
        if runs.is_empty() {
            return Ok(0);
        }
        let what = format!("writing down {} runs", runs.len());
        self.check_file().map_err(|error| RecordError::Unavailable(error.into()))?;
        // The text is another one for every number of runs: none of them is worth remembering.
        let mut query = sqlx::query(AssertSqlSafe(insert(runs.len()))).persistent(false);
        for run in runs {
            query = NewRun::of(run).bind_to(query);
        }
        match query.execute(self.pool()).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) if self.is_about_values(&error) => {
                Err(RecordError::Refused(self.unavailable(&what, error)))
            }
            Err(error) => Err(RecordError::Unavailable(self.unavailable(&what, error))),
        }
    }

    async fn list(&self, filter: &HistoryFilter, limit: u32) -> Result<Vec<RunSummary>, Unavailable> {
        let Listing { sql, values } = Listing::of(filter, limit);
        let mut query = sqlx::query_as::<_, SummaryRow>(AssertSqlSafe(sql));
        for value in values {
            query = value.bind_as(query);
        }
        let rows = query.fetch_all(self.pool()).await;
        let rows = rows.map_err(|error| self.unavailable("listing runs", error))?;
        rows.into_iter().map(|row| self.summary(row)).collect()
    }

    async fn run(&self, run: &RunKey) -> Result<Option<RunRecord>, Unavailable> {
        let what = format!("reading the run {run}");
        let query = sqlx::query_scalar(ONE).bind(run.project.as_str()).bind(run.run.as_str());
        let document: Option<String> =
            query.fetch_optional(self.pool()).await.map_err(|error| self.unavailable(&what, error))?;
        let Some(document) = document else { return Ok(None) };
        let outcome: RunCompleted =
            serde_json::from_str(&document).map_err(|error| Unavailable::new(self.attempt(&what), error))?;
        Ok(Some(RunRecord { outcome, document }))
    }

    async fn take_turn_to_prune(
        &self,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        self.check_file()?;
        let query = sqlx::query(TAKE_TURN).bind(micros(next)).bind(micros(now));
        Ok(self.affected("taking the turn to remove old runs", query).await? > 0)
    }

    async fn prune(&self, end: OffsetDateTime, at_most: u32) -> Result<u64, Unavailable> {
        let query = sqlx::query(PRUNE).bind(micros(end)).bind(i64::from(at_most));
        self.affected("removing old runs", query).await
    }
}

impl Store {
    async fn affected(
        &self,
        what: &str,
        query: Query<'_, Any, sqlx::any::AnyArguments>,
    ) -> Result<u64, Unavailable> {
        let done = query.execute(self.pool()).await.map_err(|error| self.unavailable(what, error))?;
        Ok(done.rows_affected())
    }

    fn summary(&self, row: SummaryRow) -> Result<RunSummary, Unavailable> {
        let what = format!("reading what the run {} of project {} came to", row.run_id, row.project_id);
        RunSummary::try_from(row).map_err(|error| Unavailable::new(self.attempt(&what), error))
    }

    fn unavailable(&self, what: &str, error: sqlx::Error) -> Unavailable {
        Unavailable::from(self.failed(what, error))
    }

    /// A file takes every value, so what it refuses is not about them.
    fn is_about_values(&self, error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(DatabaseError::code);
        !self.is_file() && code.is_some_and(|code| ABOUT_VALUES.iter().any(|class| code.starts_with(class)))
    }
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}
