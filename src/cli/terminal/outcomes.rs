//! One table of outcomes: status, turns, and every criterion met or not.

use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};

use super::{BAD, GOOD, WARN, plain, styled, width};
use crate::events::{CriterionStatus, RunCompleted, RunStatus};

/// Milliseconds in a second, for showing durations.
const MILLIS_PER_SECOND: f64 = 1000.0;

/// What is coloured. A mark that begins like another stands behind it.
const MARKS: [(&str, Style); 6] = [
    ("✔ SUCCESS", GOOD),
    ("✘ FAILED", BAD),
    ("! ERROR", BAD),
    ("■ CANCELLED", WARN),
    ("✔ ", GOOD),
    ("✘ ", BAD),
];

/// The outcomes as a table.
pub(crate) fn table(outcomes: &[RunCompleted]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width()).unwrap_or(u16::MAX));
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
pub(super) fn coloured(table: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(table.len()), table);
    while let Some((at, mark, style)) = next_mark(rest) {
        let (before, behind) = rest.split_at(at);
        text += before;
        text += &styled(style, mark);
        rest = &behind[mark.len()..];
    }
    text + rest
}

fn next_mark(text: &str) -> Option<(usize, &'static str, Style)> {
    let found = MARKS.iter().filter_map(|(mark, style)| Some((text.find(mark)?, *mark, *style)));
    found.min_by_key(|(at, _, _)| *at)
}

/// The colour of how a run ended.
pub(crate) fn style_of(status: RunStatus) -> Style {
    match status {
        RunStatus::Success => GOOD,
        RunStatus::Failed | RunStatus::Error => BAD,
        RunStatus::Cancelled => WARN,
    }
}

/// How a run ended, with a mark.
pub(crate) fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "✔ SUCCESS",
        RunStatus::Failed => "✘ FAILED",
        RunStatus::Error => "! ERROR",
        RunStatus::Cancelled => "■ CANCELLED",
    }
}

/// A duration for reading.
#[expect(clippy::cast_precision_loss, reason = "to a tenth of a second")]
pub(crate) fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / MILLIS_PER_SECOND)
}

fn criteria(outcome: &RunCompleted) -> String {
    if outcome.criteria.is_empty() {
        return plain(&outcome.reasoning);
    }
    let line = |criterion: &crate::events::CriterionResult| match criterion.status {
        CriterionStatus::Met => format!("✔ {}", criterion.text),
        CriterionStatus::Unmet => format!("✘ {}\n  {}", criterion.text, criterion.reasoning),
        CriterionStatus::Inconclusive => format!("? {}\n  {}", criterion.text, criterion.reasoning),
    };
    plain(&outcome.criteria.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_and_every_criterion_has_its_colour() {
        let table = coloured("a ✔ SUCCESS ✔ said | b ✘ FAILED ✘ unsaid | c ! ERROR | d ■ CANCELLED");
        let expected = format!(
            "a {} {}said | b {} {}unsaid | c {} | d {}",
            styled(GOOD, "✔ SUCCESS"),
            styled(GOOD, "✔ "),
            styled(BAD, "✘ FAILED"),
            styled(BAD, "✘ "),
            styled(BAD, "! ERROR"),
            styled(WARN, "■ CANCELLED"),
        );
        assert_eq!(table, expected);
    }
}
