//! Runs that are over, as they are kept for who asks later. Everything here is derived from outcomes; whoever keeps it must
//! not be waited for by a run.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::Serialize;
use time::OffsetDateTime;

use super::failure::Unavailable;
use crate::events::{
    BatchRunId, Cost, CriterionStatus, ProjectId, RunCompleted, RunId, RunIds, RunKey, RunStatus, ScenarioId,
    SetId, TargetRef, Verdict,
};
use crate::text::cut;

/// Bytes of [`RunSummary::problem`]: what a line of a list has room for.
const MAX_PROBLEM_BYTES: usize = 400;
/// Nanoseconds in a microsecond, the unit in which ends of runs are told apart.
const NANOS_PER_MICRO: i128 = 1_000;

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// What it came to.
    pub outcome: RunCompleted,
    /// The same as the JSON text that is kept: it may have more than this program knows.
    pub document: String,
}

/// What a list says of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Which run.
    #[serde(flatten)]
    pub ids: RunIds,
    /// The agent under test.
    pub target: TargetRef,
    /// How it ended.
    pub status: RunStatus,
    /// The judgement, if it was judged.
    pub verdict: Option<Verdict>,
    /// Why it could not be judged, for programs.
    pub error_code: Option<String>,
    /// The error, or the first criterion that was not met; cut where it is long.
    pub problem: Option<String>,
    /// Deliveries that executed something.
    pub attempts: u32,
    /// Turns begun.
    pub turns: u32,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub finished_at: OffsetDateTime,
    /// The time between, in milliseconds.
    pub duration_ms: u64,
    /// Tokens of all roles, sent and received.
    pub tokens: u64,
    /// What they cost, where prices are known.
    #[serde(rename = "costUsd")]
    pub cost: Cost,
    /// The run's trace.
    pub trace_id: Option<String>,
}

/// A place in the order of runs, the newest first. As text it is what `--before` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the run ended, in microseconds of the epoch.
    pub finished_micros: i64,
    /// The run.
    pub run: RunKey,
}

/// A text is no [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no `cursor` that `runs list` printed")]
pub struct InvalidCursor;

/// Which runs are listed; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this scenario.
    pub scenario: Option<ScenarioId>,
    /// Of this batch.
    pub batch: Option<BatchRunId>,
    /// Of this set.
    pub set: Option<SetId>,
    /// Against this agent.
    pub target: Option<TargetRef>,
    /// That ended in one of these ways; none is all.
    pub statuses: Vec<RunStatus>,
    /// That ended then or later.
    pub since: Option<OffsetDateTime>,
    /// That come behind this place.
    pub before: Option<Cursor>,
}

/// Why runs were not written down.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The store does not answer: later it may.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// The store does not take one of them as it is.
    #[error(transparent)]
    Refused(Unavailable),
}

/// Keeps runs that are over.
#[async_trait]
pub trait RunHistory: Send + Sync {
    /// Writes runs down, all or none of them, and says how many are new. A run that is there stays as it is.
    ///
    /// # Errors
    /// [`RecordError`] if nothing was written.
    async fn record(&self, runs: &[RunRecord]) -> Result<u64, RecordError>;

    /// The newest `limit` runs of `filter`, the newest first.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn list(&self, filter: &HistoryFilter, limit: u32) -> Result<Vec<RunSummary>, Unavailable>;

    /// One run.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn run(&self, run: &RunKey) -> Result<Option<RunRecord>, Unavailable>;

    /// Takes the turn to remove old runs, which is one worker's only: `false` if it is not due at `now`. The next one is due
    /// at `next`.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn take_turn_to_prune(
        &self,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<bool, Unavailable>;

    /// Removes runs that ended before `end`, the oldest ones, no more than `at_most`, and says how many.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn prune(&self, end: OffsetDateTime, at_most: u32) -> Result<u64, Unavailable>;
}

/// The unit in which ends of runs are told apart.
#[must_use]
pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / NANOS_PER_MICRO).unwrap_or(i64::MAX)
}

/// The time of so many microseconds; `None` if there is none.
#[must_use]
pub fn at_micros(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * NANOS_PER_MICRO).ok()
}

/// What is wrong with a run in a line: its error, or the first criterion that was not met.
#[must_use]
pub fn problem(outcome: &RunCompleted) -> Option<String> {
    let unmet = outcome.criteria.iter().find(|criterion| criterion.status != CriterionStatus::Met);
    let text = match (&outcome.error, unmet, outcome.status) {
        (Some(error), _, _) => &error.message,
        (None, Some(unmet), _) => &unmet.text,
        (None, None, RunStatus::Success) => return None,
        (None, None, _) => &outcome.reasoning,
    };
    // A database may take no NUL, and a list has one line for it.
    Some(cut(&text.replace(char::is_control, " "), MAX_PROBLEM_BYTES))
}

impl RunSummary {
    /// The place behind which older runs are.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { finished_micros: micros(self.finished_at), run: self.ids.key() }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.finished_micros, self.run.project, self.run.run)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        // No id has a dot: they are tokens of subjects.
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(InvalidCursor);
        let finished_micros = part()?.parse().map_err(|_| InvalidCursor)?;
        let project = ProjectId::parse(part()?).map_err(|_| InvalidCursor)?;
        let run = RunId::parse(part()?).map_err(|_| InvalidCursor)?;
        Ok(Self { finished_micros, run: RunKey { project, run } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r-1").unwrap() };
        let cursor = Cursor { finished_micros: 1_763_920_000_123_456, run };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "x.acme.r", "1.acme", "1..r", "1.acme.r.s"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }

    #[test]
    fn times_are_kept_to_the_microsecond() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_763_920_000_123_456_789).unwrap();
        assert_eq!(at_micros(micros(at)).unwrap().unix_timestamp_nanos(), 1_763_920_000_123_456_000);
    }
}
