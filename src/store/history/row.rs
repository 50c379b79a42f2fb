//! Runs as rows.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, FromRow};

use crate::events::{
    BatchRunId, Cost, InvalidId, ProjectId, ReferenceId, RunId, RunIds, ScenarioId, SetId, TargetRef,
    TargetType,
};
use crate::execution::history::{RunRecord, RunSummary, at_micros, micros, problem};

/// A run that is to be written down.
pub(super) struct NewRun<'a>(&'a RunRecord);

impl<'a> NewRun<'a> {
    pub(super) fn of(run: &'a RunRecord) -> Self {
        Self(run)
    }

    /// Its values, in the order of [`super::statements::COLUMNS`].
    #[expect(clippy::too_many_lines, reason = "one line a column")]
    pub(super) fn bind_to<'q>(&self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        let RunRecord { outcome, document } = self.0;
        let ids = &outcome.ids;
        query
            .bind(ids.project_id.to_string())
            .bind(ids.scenario_run_id.to_string())
            .bind(ids.scenario_id.to_string())
            .bind(ids.set_id.to_string())
            .bind(ids.batch_run_id.to_string())
            .bind(written_target(&outcome.target))
            .bind(word(&outcome.status))
            .bind(outcome.verdict.as_ref().map(word))
            .bind(outcome.error.as_ref().map(|error| error.code.replace('\0', " ")))
            .bind(i64::from(outcome.attempts))
            .bind(i64::from(outcome.turns))
            .bind(micros(outcome.started_at))
            .bind(micros(outcome.finished_at))
            .bind(whole(outcome.duration_ms))
            .bind(whole(outcome.usage_total.tokens()))
            .bind(f64::from(outcome.usage_total.cost))
            .bind(outcome.telemetry.trace_id.as_ref().map(|id| id.replace('\0', " ")))
            .bind(problem(outcome))
            .bind(document.clone())
    }
}

/// The target as people write it: `type:id`.
pub(super) fn written_target(target: &TargetRef) -> String {
    format!("{}:{}", target.kind, target.reference_id)
}

/// The word for a status or a verdict, as it travels.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a list reads of a run.
#[derive(FromRow)]
pub(super) struct SummaryRow {
    pub(super) project_id: String,
    pub(super) run_id: String,
    scenario_id: String,
    set_id: String,
    batch_id: String,
    target: String,
    status: String,
    verdict: Option<String>,
    error_code: Option<String>,
    attempts: i64,
    turns: i64,
    started_at: i64,
    finished_at: i64,
    duration_ms: i64,
    tokens: i64,
    cost_usd: f64,
    trace_id: Option<String>,
    problem: Option<String>,
}

/// A row that this program has not written so.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidRow {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("'{0}' is no word for how a run ends")]
    Word(String),
    #[error("'{0}' is no target")]
    Target(String),
    #[error("{0} is no time in microseconds")]
    Time(i64),
    #[error("{0} is no count")]
    Count(i64),
}

impl TryFrom<SummaryRow> for RunSummary {
    type Error = InvalidRow;

    #[expect(clippy::too_many_lines, reason = "one line a column")]
    fn try_from(row: SummaryRow) -> Result<Self, InvalidRow> {
        let ids = RunIds {
            scenario_run_id: RunId::parse(row.run_id)?,
            project_id: ProjectId::parse(row.project_id)?,
            scenario_id: ScenarioId::parse(row.scenario_id)?,
            batch_run_id: BatchRunId::parse(row.batch_id)?,
            set_id: SetId::parse(row.set_id)?,
        };
        Ok(Self {
            ids,
            target: target(row.target)?,
            status: of_word(row.status)?,
            verdict: row.verdict.map(of_word).transpose()?,
            error_code: row.error_code,
            problem: row.problem,
            attempts: count(row.attempts)?,
            turns: count(row.turns)?,
            started_at: at_micros(row.started_at).ok_or(InvalidRow::Time(row.started_at))?,
            finished_at: at_micros(row.finished_at).ok_or(InvalidRow::Time(row.finished_at))?,
            duration_ms: count(row.duration_ms)?,
            tokens: count(row.tokens)?,
            // Sums may be beyond what is taken from anybody.
            cost: Cost::try_from(row.cost_usd.clamp(0.0, Cost::MAX_USD)).unwrap_or(Cost::ZERO),
            trace_id: row.trace_id,
        })
    }
}

fn target(text: String) -> Result<TargetRef, InvalidRow> {
    let Some((kind, id)) = text.split_once(':') else { return Err(InvalidRow::Target(text)) };
    Ok(TargetRef { kind: TargetType::parse(kind)?, reference_id: ReferenceId::parse(id)? })
}

fn of_word<T: DeserializeOwned>(word: String) -> Result<T, InvalidRow> {
    serde_json::from_value(Value::String(word.clone())).map_err(|_| InvalidRow::Word(word))
}

fn count<T: TryFrom<i64>>(number: i64) -> Result<T, InvalidRow> {
    T::try_from(number).map_err(|_| InvalidRow::Count(number))
}
