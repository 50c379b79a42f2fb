//! Many runs, a line or two each.

use serde::Serialize;
use textwrap::core::display_width;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::terminal::{DIM, HEADING, plain_line, seconds, status, style_of, styled};
use crate::events::Cost;
use crate::execution::history::RunSummary;

/// What stands above the columns. The status has none of its own above it: its mark and word explain themselves.
const TITLES: [&str; COLUMNS] = ["", "run", "scenario", "target", "turns", "time", "cost", "ended"];
const COLUMNS: usize = 8;
/// Between two columns.
const GAP: &str = "  ";
/// Before what is wrong with a run.
const INDENT: &str = "    ";

/// A run as a JSON line.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(flatten)]
    run: &'a RunSummary,
    /// What `--before` takes to go on behind this run.
    cursor: String,
}

impl<'a> Line<'a> {
    pub(super) fn of(run: &'a RunSummary) -> Self {
        Self { run, cursor: run.cursor().to_string() }
    }
}

/// The runs as lines to print: columns, and below them what is wrong with a run.
pub(super) fn list(runs: &[RunSummary]) -> String {
    let rows: Vec<[String; COLUMNS]> = runs.iter().map(cells).collect();
    let titles = TITLES.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&titles]).map(|row| display_width(&row[column]));
        cells.max().unwrap_or_default()
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut lines = vec![styled(HEADING, line(&titles, &widths).trim_end())];
    for (run, cells) in runs.iter().zip(&rows) {
        let written = line(cells, &widths);
        // The status is the first column; what is coloured takes no room.
        let (first, rest) = written.split_at(cells[0].len());
        lines.push(format!("{}{}", styled(style_of(run.status), first), rest.trim_end()));
        lines.extend(
            run.problem.as_ref().map(|problem| styled(DIM, format!("{INDENT}{}", plain_line(problem)))),
        );
    }
    lines.join("\n")
}

fn cells(run: &RunSummary) -> [String; COLUMNS] {
    [
        status(run.status).to_owned(),
        run.ids.scenario_run_id.to_string(),
        plain_line(run.ids.scenario_id.as_str()),
        plain_line(&format!("{}:{}", run.target.kind, run.target.reference_id)),
        run.turns.to_string(),
        seconds(run.duration_ms),
        cost(run.cost),
        time(run.finished_at),
    ]
}

fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let padding = width.saturating_sub(display_width(cell));
        format!("{cell}{}", " ".repeat(padding))
    });
    padded.collect::<Vec<_>>().join(GAP)
}

/// Money for reading; a dash where there was nothing to pay, or no price is known.
pub(super) fn cost(cost: Cost) -> String {
    if cost.is_zero() { "-".to_owned() } else { format!("{cost}") }
}

/// To the second.
pub(super) fn time(at: OffsetDateTime) -> String {
    at.truncate_to_second().format(&Rfc3339).unwrap_or_default()
}
