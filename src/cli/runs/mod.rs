//! `runs`: what became of runs, from the history in the store. Neither a worker nor the broker has to be there.

mod list;
mod options;
mod report;

use std::time::Duration;

use tokio::time::Instant;

use super::arguments::Layers;
use super::database::database;
use super::error::{CliError, Finished, chain};
use super::terminal::{emit, print_json, run_tree, say};
use super::wiring::unusable;
use crate::events::RunKey;
use crate::execution::history::{RunHistory as _, RunRecord, RunSummary};
use crate::settings::{HistorySettings, Settings};
use crate::store::Store;
use list::{Line, list};
use options::{ListOptions, ShowOptions};
pub(super) use options::{RunsAction, RunsOptions};
use report::report;

/// How long a run that is missing is looked for: what ended just now is in the history a moment later.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause before it is looked for again.
const PAUSE: Duration = Duration::from_millis(100);
/// What is said where nothing is found.
const NONE: &str = "no run of the history is like that: runs show up here once they are over (`scenario-worker watch` follows those that are not)";

/// What is said besides where a run is missing and the settings say that none is written down.
const NOT_WRITTEN: &str =
    "; `history.enabled` is false here, and workers with that setting write no run down";

/// Lists runs, or shows one.
pub(super) async fn run(layers: &Layers, options: RunsOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let store = open(&settings).await?;
    match options.action {
        RunsAction::List(options) => list_runs(&store, *options).await,
        RunsAction::Show(options) => show_run(&store, options, &settings.history).await,
    }
}

/// Nothing in the history is sealed, so no key is needed.
async fn open(settings: &Settings) -> Result<Store, CliError> {
    let store = Store::open_existing(&database(&settings.store)?).await.map_err(|error| unusable(&error))?;
    store.check_file().map_err(|error| CliError::refused(chain(&error)))?;
    Ok(store)
}

async fn list_runs(store: &Store, options: ListOptions) -> Result<Finished, CliError> {
    let (limit, json) = (options.limit, options.json);
    let runs = store.list(&options.filter(), limit).await.map_err(|error| CliError::out_of_reach(&error))?;
    if json {
        for run in &runs {
            emit(&Line::of(run))?;
        }
        return Ok(Finished::Well);
    }
    if runs.is_empty() {
        say(NONE);
        return Ok(Finished::Well);
    }
    say(list(&runs));
    if let Some(last) = runs.last().filter(|_| runs.len() == limit as usize).map(RunSummary::cursor) {
        say(format_args!("\nolder ones: --before {last}"));
    }
    Ok(Finished::Well)
}

async fn show_run(
    store: &Store,
    options: ShowOptions,
    history: &HistorySettings,
) -> Result<Finished, CliError> {
    let ShowOptions { project, run, tree, json } = options;
    let key = RunKey { project, run };
    let Some(record) = find(store, &key).await? else { return Err(missing(&key, history)) };
    if json {
        print_json(&record.document)?;
    } else if tree {
        say(run_tree(&record.outcome));
    } else {
        say(report(&record.outcome));
    }
    Ok(Finished::Well)
}

async fn find(store: &Store, key: &RunKey) -> Result<Option<RunRecord>, CliError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = store.run(key).await.map_err(|error| CliError::out_of_reach(&error))?;
        if found.is_some() || Instant::now() >= until {
            return Ok(found);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn missing(RunKey { project, run }: &RunKey, history: &HistorySettings) -> CliError {
    let unwritten = if history.enabled { "" } else { NOT_WRITTEN };
    CliError::Refused(format!(
        "the history has no run {run} of project {project}: it is not over yet (`scenario-worker watch --run {run}` follows it), \
         its id or project is another, or it is older than `history.retention_seconds`{unwritten}"
    ))
}
