//! One table of outcomes: status, turns, and every criterion met or not.

use comfy_table::{ContentArrangement, Table, presets};

use super::{BAD, GOOD, WARN, WIDTH, styled};
use crate::events::{CriterionStatus, RunCompleted, RunStatus};

/// Milliseconds in a second, for showing durations.
const MILLIS_PER_SECOND: f64 = 1000.0;

/// The outcomes as a table.
pub(crate) fn table(outcomes: &[RunCompleted]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(WIDTH).unwrap_or(u16::MAX));
    table.set_header(["scenario", "status", "turns", "time", "criteria"]);
    for outcome in outcomes {
        table.add_row([
            outcome.ids.scenario_id.to_string(),
            status(outcome.status).to_owned(),
            outcome.turns.to_string(),
            seconds(outcome.duration_ms),
            criteria(outcome),
        ]);
    }
    coloured(&table.trim_fmt())
}

/// Colours go in last: the table counts characters, and colours are none that show.
fn coloured(table: &str) -> String {
    let marks = [
        ("✔ SUCCESS", GOOD),
        ("✘ FAILED", BAD),
        ("! ERROR", BAD),
        ("■ CANCELLED", WARN),
        ("✔ ", GOOD),
        ("✘ ", BAD),
    ];
    marks.iter().fold(table.to_owned(), |text, (mark, style)| text.replace(mark, &styled(*style, mark)))
}

fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "✔ SUCCESS",
        RunStatus::Failed => "✘ FAILED",
        RunStatus::Error => "! ERROR",
        RunStatus::Cancelled => "■ CANCELLED",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for reading, to a tenth of a second")]
fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / MILLIS_PER_SECOND)
}

fn criteria(outcome: &RunCompleted) -> String {
    if outcome.criteria.is_empty() {
        return outcome.reasoning.clone();
    }
    let line = |criterion: &crate::events::CriterionResult| match criterion.status {
        CriterionStatus::Met => format!("✔ {}", criterion.text),
        CriterionStatus::Unmet => format!("✘ {}\n  {}", criterion.text, criterion.reasoning),
        CriterionStatus::Inconclusive => format!("? {}\n  {}", criterion.text, criterion.reasoning),
    };
    outcome.criteria.iter().map(line).collect::<Vec<_>>().join("\n")
}
