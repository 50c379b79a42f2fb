//! `schedule`: ask for runs, and wait for them if asked to.

use std::collections::BTreeSet;

use super::arguments::{Layers, ScheduleOptions};
use super::error::{CliError, Finished};
use super::listening::Listening;
use super::signals::StopSignals;
use super::terminal::{emit, say, table};
use super::wiring::{self, Definitions};
use crate::events::subjects::{EVENTS_STREAM, REQUESTS_STREAM};
use crate::events::{
    CassetteRequest, JudgeModels, ModelOverrides, ProjectId, Receipt, RequestPayload, RunCompleted, RunId,
    TraceContextMode,
};
use crate::queue::Connection;
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker schedule";

/// What is said where no run begins.
const NOT_TAKEN: &str = "no run has begun yet: does a worker run (`scenario-worker serve`), and has it room? Still waiting; Ctrl-C stops \
     only the waiting";

/// Schedules the runs; nothing is called scheduled before the stream has it.
pub(super) async fn run(layers: &Layers, options: ScheduleOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let definitions = Definitions::open(&settings).await?;
    let connection = wiring::connect(&settings, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[REQUESTS_STREAM, EVENTS_STREAM]).await?;
    let scheduler = definitions.scheduler(&connection, &settings)?;
    let mut runs = BTreeSet::new();
    for _ in 0..options.repeat {
        let receipt = scheduler.schedule(payload(&options)?, options.key.as_deref(), None).await;
        runs.insert(announce(&receipt.map_err(|error| CliError::out_of_reach(&error))?, options.json)?);
    }
    if !options.wait {
        return Ok(Finished::Well);
    }
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        finished = finish(&connection, &options, runs) => finished,
        signal = signals.received() => Ok(Finished::Stopped(signal)),
    }
}

/// Waits for the runs, and says how they ended.
async fn finish(
    connection: &Connection,
    options: &ScheduleOptions,
    runs: BTreeSet<RunId>,
) -> Result<Finished, CliError> {
    let outcomes = wait(connection, options, runs).await?;
    if !options.json {
        say(table(&outcomes));
    }
    let all_passed = outcomes.iter().all(|outcome| outcome.success);
    Ok(if all_passed { Finished::Well } else { Finished::WithFailedRuns })
}

fn payload(options: &ScheduleOptions) -> Result<RequestPayload, CliError> {
    Ok(RequestPayload {
        project_id: options.project.clone(),
        scenario_id: options.scenario.clone(),
        target: options.target.clone(),
        scenario_run_id: options.run_id.clone(),
        batch_run_id: options.batch.clone(),
        set_id: options.set.clone(),
        parameters: options.parameters.iter().cloned().collect(),
        models: ModelOverrides {
            user_simulator: options.user_simulator_model.clone(),
            judge: judges(&options.judge_models)?,
        },
        max_turns: options.max_turns,
        min_turns: options.min_turns,
        timeout_seconds: options.timeout_seconds,
        trace_context: TraceContextMode::default(),
        max_cost_usd: options.max_cost_usd,
        max_tokens: options.max_tokens,
        cassette: cassette(options),
    })
}

/// The judges that were named, if any were.
pub(super) fn judges(names: &[String]) -> Result<Option<JudgeModels>, CliError> {
    if names.is_empty() {
        return Ok(None);
    }
    JudgeModels::try_from(names.to_vec()).map(Some).map_err(CliError::refused)
}

fn cassette(options: &ScheduleOptions) -> Option<CassetteRequest> {
    options.cassette.map(|mode| CassetteRequest { mode, name: options.cassette_name.clone() })
}

fn announce(receipt: &Receipt, json: bool) -> Result<RunId, CliError> {
    if json {
        emit(receipt)?;
    }
    match receipt {
        Receipt::Refused { error, .. } => Err(CliError::Refused(error.message.clone())),
        Receipt::Scheduled { scenario_run_id, job_id, duplicate, .. } => {
            if !json {
                let what = if *duplicate { "was scheduled before" } else { "is scheduled" };
                say(format_args!("{scenario_run_id} {what} (job {job_id})"));
            }
            Ok(scenario_run_id.clone())
        }
    }
}

/// Waits for the outcome of every run, in the order in which they come.
async fn wait(
    connection: &Connection,
    options: &ScheduleOptions,
    mut runs: BTreeSet<RunId>,
) -> Result<Vec<RunCompleted>, CliError> {
    let filters: Vec<FeedFilter> = runs.iter().map(|run| events_of(&options.project, run)).collect();
    let opened = feed::open(connection, &filters, FeedStart::Beginning).await;
    let mut events = Listening::new(opened.map_err(|error| CliError::out_of_reach(&error))?, NOT_TAKEN);
    let mut outcomes = Vec::new();
    while !runs.is_empty() {
        let Event::Completed(outcome) = events.next().await? else { continue };
        if options.json {
            emit(outcome.as_ref())?;
        }
        runs.remove(&outcome.ids.scenario_run_id);
        outcomes.push(*outcome);
    }
    Ok(outcomes)
}

/// All of a run's events: its first one says that a worker has it.
fn events_of(project: &ProjectId, run: &RunId) -> FeedFilter {
    FeedFilter { project: Some(project.clone()), run: Some(run.clone()), kind: None }
}
