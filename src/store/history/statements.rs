//! The statements whose text depends on what is asked for. Only numbers of placeholders do; every value is bound.

use std::fmt::Write as _;

use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::QueryAs;

use super::row::{word, written_target};
use crate::execution::history::{HistoryFilter, micros};

/// The columns, the document last.
pub(super) const COLUMNS: [&str; 19] = [
    "project_id",
    "run_id",
    "scenario_id",
    "set_id",
    "batch_id",
    "target",
    "status",
    "verdict",
    "error_code",
    "attempts",
    "turns",
    "started_at",
    "finished_at",
    "duration_ms",
    "tokens",
    "cost_usd",
    "trace_id",
    "problem",
    "document",
];
/// The order of lists; an index has it backwards.
const NEWEST_FIRST: &str = "ORDER BY finished_at DESC, project_id DESC, run_id DESC";

/// Writes so many runs at once. What is there already stays, whoever wrote it.
pub(super) fn insert(runs: usize) -> String {
    let width = COLUMNS.len();
    let row = |run: usize| {
        let places: Vec<String> = (1..=width).map(|column| format!("${}", run * width + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..runs).map(row).collect();
    let (columns, rows) = (COLUMNS.join(", "), rows.join(", "));
    format!("INSERT INTO runs ({columns}) VALUES {rows} ON CONFLICT (project_id, run_id) DO NOTHING")
}

/// A value of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    Text(String),
    Number(i64),
}

impl Bound {
    pub(super) fn bind_as<O>(
        self,
        query: QueryAs<'_, Any, O, AnyArguments>,
    ) -> QueryAs<'_, Any, O, AnyArguments> {
        match self {
            Self::Text(text) => query.bind(text),
            Self::Number(number) => query.bind(number),
        }
    }
}

/// A list of runs, as a statement.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) sql: String,
    pub(super) values: Vec<Bound>,
}

impl Listing {
    pub(super) fn of(filter: &HistoryFilter, limit: u32) -> Self {
        let columns = COLUMNS[..COLUMNS.len() - 1].join(", ");
        let mut this = Self { sql: format!("SELECT {columns} FROM runs WHERE TRUE"), values: Vec::new() };
        this.equal("project_id", filter.project.as_ref().map(ToString::to_string));
        this.equal("scenario_id", filter.scenario.as_ref().map(ToString::to_string));
        this.equal("batch_id", filter.batch.as_ref().map(ToString::to_string));
        this.equal("set_id", filter.set.as_ref().map(ToString::to_string));
        this.equal("target", filter.target.as_ref().map(written_target));
        this.statuses(filter);
        this.times(filter);
        let limit = this.place(Bound::Number(limit.into()));
        // Writing into a string cannot fail.
        let _ = write!(this.sql, " {NEWEST_FIRST} LIMIT {limit}");
        this
    }

    fn equal(&mut self, column: &str, value: Option<String>) {
        if let Some(value) = value {
            let place = self.place(Bound::Text(value));
            let _ = write!(self.sql, " AND {column} = {place}");
        }
    }

    fn statuses(&mut self, filter: &HistoryFilter) {
        // One status is an equation, whose index is in the order of the list.
        if let [status] = filter.statuses.as_slice() {
            return self.equal("status", Some(word(status)));
        }
        if filter.statuses.is_empty() {
            return;
        }
        let places: Vec<String> =
            filter.statuses.iter().map(|status| self.place(Bound::Text(word(status)))).collect();
        let _ = write!(self.sql, " AND status IN ({})", places.join(", "));
    }

    fn times(&mut self, filter: &HistoryFilter) {
        if let Some(since) = filter.since {
            let place = self.place(Bound::Number(micros(since)));
            let _ = write!(self.sql, " AND finished_at >= {place}");
        }
        if let Some(before) = &filter.before {
            let end = self.place(Bound::Number(before.finished_micros));
            let project = self.place(Bound::Text(before.run.project.to_string()));
            let run = self.place(Bound::Text(before.run.run.to_string()));
            // The first condition follows from the second; not every index can use that one.
            let _ = write!(
                self.sql,
                " AND finished_at <= {end} AND (finished_at, project_id, run_id) < ({end}, {project}, {run})"
            );
        }
    }

    fn place(&mut self, value: Bound) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ProjectId, RunStatus};

    #[test]
    fn every_value_is_bound_and_every_place_has_one() {
        let project = ProjectId::parse("acme").ok();
        let statuses = vec![RunStatus::Failed, RunStatus::Error];
        let before = "7.acme.r".parse().ok();
        let filter = HistoryFilter { project, statuses, before, ..HistoryFilter::default() };
        let Listing { sql, values } = Listing::of(&filter, 5);
        assert!(sql.ends_with(
            "FROM runs WHERE TRUE AND project_id = $1 AND status IN ($2, $3) AND finished_at <= $4 \
             AND (finished_at, project_id, run_id) < ($4, $5, $6) \
             ORDER BY finished_at DESC, project_id DESC, run_id DESC LIMIT $7"
        ));
        let text = |text: &str| Bound::Text(text.to_owned());
        let number = Bound::Number;
        assert_eq!(
            values,
            [text("acme"), text("FAILED"), text("ERROR"), number(7), text("acme"), text("r"), number(5)]
        );
    }

    #[test]
    fn several_runs_are_one_statement() {
        let sql = insert(2);
        assert!(sql.contains("$1, ") && sql.contains("($20, ") && sql.contains("$38)"), "{sql}");
    }
}
