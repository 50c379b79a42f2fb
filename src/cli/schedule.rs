//! `schedule`: ask for runs, and wait for them if asked to.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::arguments::{Layers, ScheduleOptions};
use super::error::{CliError, Finished};
use super::listening::Listening;
use super::signals::StopSignals;
use super::terminal::{emit, say, table};
use super::wiring::{self, Definitions};
use crate::events::subjects::{EVENTS_STREAM, REQUESTS_STREAM};
use crate::events::{
    BatchRunId, CassetteRequest, JudgeModels, ModelOverrides, ProjectId, Receipt, RequestPayload,
    RunCompleted, RunId, TraceContextMode,
};
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};
use crate::queue::{Connection, Scheduler};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker schedule";

/// Beginning of the id of a batch whose runs are scheduled here together.
const BATCH_PREFIX: &str = "scenariobatch_";

/// What is said where no run begins.
const NOT_TAKEN: &str = "no run has begun yet: does a worker run (`scenario-worker serve`), and has it room? Still waiting; Ctrl-C stops \
     only the waiting";

/// Schedules the runs; nothing is called scheduled before the stream has it.
pub(super) async fn run(layers: &Layers, options: ScheduleOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let definitions = Definitions::open_existing(&settings).await?;
    definitions.require_some().await?;
    let connection = wiring::connect(&settings, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[REQUESTS_STREAM, EVENTS_STREAM]).await?;
    let scheduler = definitions.scheduler(&connection, &settings)?;
    let options = ScheduleOptions { batch: batch(&options)?, ..options };
    let runs = schedule(&scheduler, &options).await?;
    if !options.wait {
        return Ok(Finished::Well);
    }
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        finished = finish(&connection, &options, runs) => finished,
        signal = signals.received() => Ok(Finished::Stopped(signal)),
    }
}

async fn schedule(scheduler: &Scheduler, options: &ScheduleOptions) -> Result<BTreeSet<RunId>, CliError> {
    let mut runs = BTreeSet::new();
    for _ in 0..options.repeat {
        let receipt = scheduler.schedule(payload(options)?, options.key.as_deref(), None).await;
        runs.insert(announce(&receipt.map_err(|error| CliError::out_of_reach(&error))?, options.json)?);
    }
    Ok(runs)
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

/// Runs that are scheduled together are one batch, so that they can be watched and cancelled together.
fn batch(options: &ScheduleOptions) -> Result<Option<BatchRunId>, CliError> {
    if options.batch.is_some() || options.repeat == 1 {
        return Ok(options.batch.clone());
    }
    let batch = BatchRunId::parse(format!("{BATCH_PREFIX}{}", Uuid::new_v4().simple()));
    let batch = batch.map_err(CliError::refused)?;
    if !options.json {
        say(format_args!("batch {batch}"));
    }
    Ok(Some(batch))
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
