//! Waiting for the outcomes of the runs that were asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ordering::{Order, Ordered};
use crate::cli::error::{CliError, Finished};
use crate::cli::listening::{Hint, Listening};
use crate::cli::terminal::{
    CellSummary, Tally, cells_table, clear_progress, emit, outcome_line, progress, say, table,
};
use crate::events::subjects::EventKind;
use crate::events::{ProjectId, RunCompleted, RunId};
use crate::queue::Connection;
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};

/// How long no run may begin before somebody is told: a worker needs a moment to take one.
const SILENCE: Duration = Duration::from_secs(5);
/// What is said where no run begins.
const NOT_TAKEN: &str = "no run has begun yet: does a worker run (`scenario-worker serve`), and has it room? Still waiting; Ctrl-C stops \
     only the waiting";
/// The most runs that are listened to one by one; of more, all events of the project are looked at.
const MOST_FILTERS: usize = 64;
/// The most runs without a matrix that have a row each in the table.
const MOST_ROWS: usize = 10;

/// Waits for the runs, and says how they ended.
pub(super) async fn finish(
    connection: &Connection,
    order: &Order,
    ordered: &Ordered,
) -> Result<Finished, CliError> {
    let outcomes = wait(connection, order, ordered).await?;
    clear_progress();
    if !order.options.json {
        say(summary(order, ordered, &outcomes));
    }
    let all_passed = outcomes.iter().all(|outcome| outcome.success);
    Ok(if all_passed { Finished::Well } else { Finished::WithFailedRuns })
}

/// The outcome of every run, in the order in which they come.
async fn wait(
    connection: &Connection,
    order: &Order,
    ordered: &Ordered,
) -> Result<Vec<RunCompleted>, CliError> {
    let filters = filters(&order.options.project, ordered);
    let opened = feed::open(connection, &filters, FeedStart::Beginning).await;
    let mut events = Listening::new(opened.map_err(|error| CliError::out_of_reach(&error))?, Some(hint()));
    let mut awaited: BTreeSet<&RunId> = ordered.runs.keys().collect();
    let (mut tally, mut outcomes) = (Tally::of(Some(ordered.runs.len() as u64)), Vec::new());
    while !awaited.is_empty() {
        show(order, &tally);
        let event = events.next().await?;
        if !awaited.contains(&event.ids().scenario_run_id) {
            continue;
        }
        tally.note(&event);
        let Event::Completed(outcome) = event else { continue };
        tell(order, ordered, &tally, &outcome)?;
        awaited.remove(&outcome.ids.scenario_run_id);
        outcomes.push(*outcome);
    }
    Ok(outcomes)
}

fn hint() -> Hint {
    Hint { text: NOT_TAKEN.to_owned(), after: SILENCE }
}

fn show(order: &Order, tally: &Tally) {
    if !order.options.json && !order.is_alone() {
        progress(tally);
    }
}

fn tell(order: &Order, ordered: &Ordered, tally: &Tally, outcome: &RunCompleted) -> Result<(), CliError> {
    if order.options.json {
        return emit(outcome);
    }
    if !order.is_alone() {
        let cell = ordered.runs.get(&outcome.ids.scenario_run_id).map(|at| order.cells[*at].name());
        let cell =
            cell.filter(|name| !name.is_empty()).unwrap_or_else(|| outcome.ids.scenario_run_id.to_string());
        say(format_args!("{} {}", tally.position(), outcome_line(&cell, outcome)));
    }
    Ok(())
}

/// A matrix is summed up by its cells, and so are runs too many for a row each.
fn summary(order: &Order, ordered: &Ordered, outcomes: &[RunCompleted]) -> String {
    if order.options.matrix.is_empty() && outcomes.len() <= MOST_ROWS {
        return table(outcomes);
    }
    let mut rows: Vec<(String, CellSummary)> =
        order.cells.iter().map(|cell| (heading(&cell.name(), order), CellSummary::default())).collect();
    for outcome in outcomes {
        if let Some(at) = ordered.runs.get(&outcome.ids.scenario_run_id) {
            rows[*at].1.add(outcome);
        }
    }
    cells_table(&rows)
}

/// One axis or value a line, as the column is narrow.
fn heading(cell: &str, order: &Order) -> String {
    if order.options.matrix.is_empty() {
        return order.cells[0].payload.scenario_id.to_string();
    }
    cell.to_owned()
}

/// What begins and ends runs: their first event says that a worker has them.
fn filters(project: &ProjectId, ordered: &Ordered) -> Vec<FeedFilter> {
    let of = |run: Option<&RunId>| {
        [EventKind::Started, EventKind::Completed].map(|kind| FeedFilter {
            project: Some(project.clone()),
            run: run.cloned(),
            kind: Some(kind),
        })
    };
    if ordered.runs.len() > MOST_FILTERS {
        return of(None).into();
    }
    ordered.runs.keys().flat_map(|run| of(Some(run))).collect()
}
