//! Runs summed up by what they have in common: how many passed, what they took, and what was missed most often.

use std::collections::HashMap;

use comfy_table::{ContentArrangement, Table, presets};

use super::outcomes::{coloured, seconds};
use super::{plain_line, width};
use crate::events::{Cost, CriterionStatus, RunCompleted, RunStatus};

/// Percent of all.
const ALL: u64 = 100;
/// The most different misses of a row; the others are counted.
const MOST_MISSES: usize = 5;

/// What came of some runs.
#[derive(Debug, Default)]
pub(crate) struct CellSummary {
    runs: u64,
    passed: u64,
    millis: u64,
    cost: Cost,
    misses: HashMap<String, u64>,
}

impl CellSummary {
    /// Adds an outcome.
    pub(crate) fn add(&mut self, outcome: &RunCompleted) {
        self.runs += 1;
        self.passed += u64::from(outcome.success);
        self.millis += outcome.duration_ms;
        self.cost = self.cost.plus(outcome.usage_total.cost);
        for miss in misses(outcome) {
            *self.misses.entry(miss).or_default() += 1;
        }
    }

    fn rate(&self) -> String {
        match (self.passed * ALL).checked_div(self.runs) {
            Some(percent) => format!("{}/{} {percent}%", self.passed, self.runs),
            None => "none".to_owned(),
        }
    }

    fn average(&self) -> String {
        self.millis.checked_div(self.runs).map(seconds).unwrap_or_default()
    }

    /// The most frequent first.
    fn missed(&self) -> String {
        let mut misses: Vec<(&String, &u64)> = self.misses.iter().collect();
        misses.sort_by(|(one, count), (other, more)| more.cmp(count).then_with(|| one.cmp(other)));
        let others = misses.len().saturating_sub(MOST_MISSES);
        let mut lines: Vec<String> =
            misses.iter().take(MOST_MISSES).map(|(miss, count)| format!("{count} × {miss}")).collect();
        if others > 0 {
            lines.push(format!("and {others} others"));
        }
        lines.join("\n")
    }
}

/// Why a run did not pass, as words that are alike where runs are.
fn misses(outcome: &RunCompleted) -> Vec<String> {
    match (outcome.status, &outcome.error) {
        (RunStatus::Success, _) => Vec::new(),
        (RunStatus::Cancelled, _) => vec!["■ CANCELLED".to_owned()],
        (_, Some(error)) => vec![plain_line(&format!("! ERROR {}: {}", error.code, error.message))],
        (_, None) => {
            let open = outcome.criteria.iter().filter(|criterion| criterion.status != CriterionStatus::Met);
            open.map(|criterion| plain_line(&format!("{} {}", mark(criterion.status), criterion.text)))
                .collect()
        }
    }
}

/// How a criterion is marked.
pub(super) fn mark(status: CriterionStatus) -> char {
    match status {
        CriterionStatus::Met => '✔',
        CriterionStatus::Unmet => '✘',
        CriterionStatus::Inconclusive => '?',
    }
}

/// A table of `rows`, each with its name.
pub(crate) fn cells_table(rows: &[(String, CellSummary)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width()).unwrap_or(u16::MAX));
    table.set_header(["runs of", "passed", "average", "cost", "what was missed"]);
    for (name, summary) in rows {
        let cost = if summary.cost.is_zero() { String::new() } else { summary.cost.to_string() };
        table.add_row([plain_line(name), summary.rate(), summary.average(), cost, summary.missed()]);
    }
    coloured(&table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::super::samples::outcome;
    use super::*;

    #[test]
    fn a_row_says_how_many_passed_and_what_was_missed_most() {
        let mut summary = CellSummary::default();
        for status in ["SUCCESS", "FAILED", "FAILED", "ERROR"] {
            summary.add(&outcome("r", status));
        }
        assert_eq!((summary.rate().as_str(), summary.average().as_str()), ("1/4 25%", "1.5 s"));
        assert_eq!(summary.missed(), "2 × ✘ It refunds\n1 × ! ERROR http_status: HTTP 500");
        let shown = cells_table(&[
            ("region=eu".to_owned(), summary),
            ("none yet".to_owned(), CellSummary::default()),
        ]);
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert!(
            shown.contains("region=eu") && shown.contains("0.040000 USD") && shown.contains("none"),
            "{shown}"
        );
    }

    #[test]
    fn the_rarest_misses_are_only_counted() {
        let mut summary = CellSummary::default();
        for (number, miss) in ["a", "b", "c", "d", "e", "f", "g"].iter().enumerate() {
            summary.misses.insert((*miss).to_owned(), number as u64);
        }
        assert!(summary.missed().starts_with("6 × g\n") && summary.missed().ends_with("2 × c\nand 2 others"));
    }
}
