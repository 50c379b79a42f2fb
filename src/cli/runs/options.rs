//! What `runs` can be asked.

use clap::{Args, Subcommand, ValueEnum};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

use crate::cli::arguments::{parse_batch, parse_project, parse_run, parse_scenario, parse_target};
use crate::events::{BatchRunId, ProjectId, RunId, RunStatus, ScenarioId, SetId, TargetRef};
use crate::execution::history::{Cursor, HistoryFilter};

/// Runs that are listed where nothing is said.
const DEFAULT_LIMIT: u32 = 50;
/// Runs that are listed at most: one answer of the database.
const MOST_LISTED: i64 = 10_000;
/// What `--since` says where it is not understood.
const HOW_SINCE: &str =
    "it must be a time back, such as 30m, 2h, 7d, or a date, such as 2026-01-31 or 2026-01-31T18:00:00Z";

/// Options of `runs`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RunsOptions {
    #[command(subcommand)]
    pub(in crate::cli) action: RunsAction,
}

/// What to do with runs that are over.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RunsAction {
    /// List them, the newest first.
    List(Box<ListOptions>),
    /// Show one: verdict with reasons, conversation, usage, and what to do next.
    Show(ShowOptions),
}

/// Options of `runs list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    /// Only those of this project.
    #[arg(long, value_parser = parse_project)]
    project: Option<ProjectId>,
    /// Only those of this scenario.
    #[arg(long, value_parser = parse_scenario)]
    scenario: Option<ScenarioId>,
    /// Only those of this batch.
    #[arg(long, value_parser = parse_batch, value_name = "ID")]
    batch: Option<BatchRunId>,
    /// Only those of this set.
    #[arg(long, value_parser = parse_set, value_name = "ID")]
    set: Option<SetId>,
    /// Only those that ended so; may be given several times, or with commas.
    #[arg(long = "status", value_enum, value_delimiter = ',', ignore_case = true)]
    statuses: Vec<StatusName>,
    /// Only those against this agent, such as `http:shop-agent`.
    #[arg(long, value_parser = parse_target, value_name = "TYPE:ID")]
    target: Option<TargetRef>,
    /// Only those that ended since then: a time back (30m, 2h, 7d) or a date (2026-01-31, 2026-01-31T18:00:00Z).
    #[arg(long, value_parser = parse_since, value_name = "2h|DATE", allow_hyphen_values = true)]
    since: Option<OffsetDateTime>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT, value_parser = clap::value_parser!(u32).range(1..=MOST_LISTED))]
    pub(super) limit: u32,
    /// Go on behind a list that was full: the `cursor` of its last run.
    #[arg(long, value_name = "CURSOR")]
    before: Option<Cursor>,
    /// Print them as JSON lines.
    #[arg(long)]
    pub(super) json: bool,
}

impl ListOptions {
    /// Which runs are asked for.
    pub(super) fn filter(self) -> HistoryFilter {
        HistoryFilter {
            project: self.project,
            scenario: self.scenario,
            batch: self.batch,
            set: self.set,
            target: self.target,
            statuses: self.statuses.into_iter().map(RunStatus::from).collect(),
            since: self.since,
            before: self.before,
        }
    }
}

/// Options of `runs show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowOptions {
    /// The project.
    #[arg(long, value_parser = parse_project)]
    pub(super) project: ProjectId,
    /// The run.
    #[arg(value_parser = parse_run, value_name = "RUN_ID")]
    pub(super) run: RunId,
    /// Show what took how long instead, as a tree: turns, messages, tools and judgement.
    #[arg(long, conflicts_with = "json")]
    pub(super) tree: bool,
    /// Print its outcome as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// How a run ends, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusName {
    /// Every criterion was met; outcomes call it `SUCCESS`.
    #[value(alias = "success")]
    Passed,
    /// It was judged and did not pass.
    Failed,
    /// It could not be judged.
    Error,
    /// Somebody cancelled it.
    Cancelled,
}

impl From<StatusName> for RunStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Passed => Self::Success,
            StatusName::Failed => Self::Failed,
            StatusName::Error => Self::Error,
            StatusName::Cancelled => Self::Cancelled,
        }
    }
}

fn parse_set(text: &str) -> Result<SetId, String> {
    SetId::parse(text).map_err(|error| error.to_string())
}

fn parse_since(text: &str) -> Result<OffsetDateTime, &'static str> {
    since(text, OffsetDateTime::now_utc()).ok_or(HOW_SINCE)
}

/// The time that `text` means at `now`.
fn since(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(at.to_offset(UtcOffset::UTC));
    }
    let date = time::macros::format_description!("[year]-[month]-[day]");
    if let Ok(day) = Date::parse(text, date) {
        return Some(day.midnight().assume_utc());
    }
    let (number, unit) = text.split_at(text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at))?);
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "s" => Duration::SECOND,
        "m" => Duration::MINUTE,
        "h" => Duration::HOUR,
        "d" => Duration::DAY,
        "w" => Duration::WEEK,
        _ => return None,
    };
    now.checked_sub(unit.checked_mul(i32::try_from(number).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_also_understood_as_outcomes_have_it() {
        for (text, status) in [
            ("passed", StatusName::Passed),
            ("success", StatusName::Passed),
            ("SUCCESS", StatusName::Passed),
            ("Failed", StatusName::Failed),
        ] {
            assert_eq!(StatusName::from_str(text, true), Ok(status), "{text}");
        }
    }

    #[test]
    fn a_time_is_said_back_from_now_or_as_a_date() {
        let now = time::macros::datetime!(2026-02-10 12:00 UTC);
        for (text, at) in [
            ("90s", time::macros::datetime!(2026-02-10 11:58:30 UTC)),
            ("30m", time::macros::datetime!(2026-02-10 11:30 UTC)),
            ("2h", time::macros::datetime!(2026-02-10 10:00 UTC)),
            ("7d", time::macros::datetime!(2026-02-03 12:00 UTC)),
            ("1w", time::macros::datetime!(2026-02-03 12:00 UTC)),
            ("2026-01-31", time::macros::datetime!(2026-01-31 00:00 UTC)),
            ("2026-01-31T18:00:00+02:00", time::macros::datetime!(2026-01-31 16:00 UTC)),
        ] {
            assert_eq!(since(text, now), Some(at), "{text}");
        }
        for text in ["", "h", "2", "2y", "-2h", "4294967295w", "2é", "yesterday"] {
            assert_eq!(since(text, now), None, "{text}");
        }
    }
}
