//! `rejudge`: judge a finished run again. The agent is not asked, and the run's outcome stays what it is.

use std::sync::Arc;

use serde::Serialize;

use super::arguments::{Layers, RejudgeOptions};
use super::error::{CliError, Finished};
use super::schedule::judges;
use super::terminal::{emit, say, table};
use super::wiring::{self, Definitions};
use crate::events::subjects::{EVENTS_STREAM, LIMITS_BUCKET};
use crate::events::{
    Attribution, Budget, CriterionResult, DecidedBy, ModelOverrides, RunCompleted, RunKey, RunRequest,
    RunStatus, TraceContextMode, Verdict,
};
use crate::execution::failure::PlanError;
use crate::execution::limits::Limiter;
use crate::execution::ports::SystemClock;
use crate::execution::rejudging::Rejudgement;
use crate::execution::types::{Conversation, Criterion, Message};
use crate::queue::{Cassettes, Connection, KvLimiter, archive, topology};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker rejudge";
/// No run is played, so it needs no customer; a project may have no model for one.
const NO_CUSTOMER: &str = "nobody/nobody";

/// What is printed for programs: the outcome as it would be, and what judging it used this time.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    rejudged: bool,
    #[serde(flatten)]
    outcome: &'a RunCompleted,
}

/// Judges the run, and exits as `schedule --wait` would: 0 if it passes.
pub(super) async fn run(layers: &Layers, options: RejudgeOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let definitions = Definitions::open(&settings).await?;
    let connection = wiring::connect(&settings, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[EVENTS_STREAM]).await?;
    let outcome = outcome(&connection, &options).await?;
    judgeable(&outcome)?;
    let said = conversation(&connection, &outcome).await?;
    let limits = topology::bucket(&connection, LIMITS_BUCKET).await.map_err(|error| wiring::unfit(&error))?;
    let limiter: Arc<dyn Limiter> =
        Arc::new(KvLimiter::new(&connection, &limits, settings.consumer.ack_wait()));
    let planner = definitions.for_runs(&limiter, None).planner(Cassettes::at(&connection));
    let request = request(&outcome, &options)?;
    let judged = planner.rejudge(&request, said, options.criteria, &SystemClock).await.map_err(unjudged)?;
    show(&rejudged(outcome, judged), options.json)
}

async fn outcome(connection: &Connection, options: &RejudgeOptions) -> Result<RunCompleted, CliError> {
    let key = RunKey { project: options.project.clone(), run: options.run.clone() };
    let outcome = archive::outcome(connection, &key).await.map_err(|error| CliError::out_of_reach(&error))?;
    outcome.ok_or_else(|| {
        CliError::Refused(format!(
            "the run {key} has no outcome: it is not over, or its outcome is not kept any more"
        ))
    })
}

/// A run that was broken off before its end has no conversation that could be judged as a whole. Only what came behind
/// the conversation may have failed.
fn judgeable(outcome: &RunCompleted) -> Result<(), CliError> {
    let (run, came_to) = (&outcome.ids.scenario_run_id, &outcome.reasoning);
    let judging_failed = outcome.error.as_ref().is_none_or(|error| {
        matches!(error.attributed_to, Attribution::Judge | Attribution::ModelProvider | Attribution::Budget)
    });
    if outcome.status != RunStatus::Cancelled && judging_failed {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "the run {run} was broken off, so there is no whole conversation to judge: {came_to}"
    )))
}

async fn conversation(connection: &Connection, outcome: &RunCompleted) -> Result<Conversation, CliError> {
    let said = archive::transcript(connection, outcome).await.map_err(CliError::refused)?;
    let messages = said.into_iter().map(Message::from).collect();
    let passed = outcome.criteria.iter().filter(|result| by_script(result)).cloned().collect();
    let RunCompleted { turns: turn, usage, tool_calls_unknown, .. } = *outcome;
    Ok(Conversation { messages, tool_calls_unknown, turn, passed, usage, ..Conversation::default() })
}

/// A check of the script was looked at in the middle of the conversation, which nobody can do again.
fn by_script(result: &CriterionResult) -> bool {
    result.decided_by == DecidedBy::Check && Criterion::is_of_step(&result.id)
}

/// What a run like that would ask for, if only its judge mattered.
fn request(outcome: &RunCompleted, options: &RejudgeOptions) -> Result<RunRequest, CliError> {
    let models = ModelOverrides {
        user_simulator: Some(NO_CUSTOMER.to_owned()),
        judge: judges(&options.judge_models)?,
    };
    Ok(RunRequest {
        key: outcome.ids.key(),
        scenario_id: outcome.ids.scenario_id.clone(),
        target: outcome.target.clone(),
        batch_run_id: outcome.ids.batch_run_id.clone(),
        set_id: outcome.ids.set_id.clone(),
        parameters: options.parameters.iter().cloned().collect(),
        models,
        max_turns: None,
        min_turns: Some(0),
        timeout: None,
        trace_context_mode: TraceContextMode::default(),
        parent: None,
        budget: Budget::default(),
        cassette: None,
    })
}

fn unjudged(error: PlanError) -> CliError {
    match error {
        PlanError::Failure(failure) => CliError::Refused(match failure.hint {
            Some(hint) => format!("{} {hint}", failure.message),
            None => failure.message,
        }),
        PlanError::Unavailable(error) => CliError::out_of_reach(&error),
    }
}

/// The outcome as it would be by the new judgement.
fn rejudged(outcome: RunCompleted, Rejudgement { judgement, usage }: Rejudgement) -> RunCompleted {
    let success = judgement.verdict == Verdict::Success;
    let mut usages = outcome.usage;
    usages.judge = usage;
    RunCompleted {
        status: if success { RunStatus::Success } else { RunStatus::Failed },
        success,
        verdict: Some(judgement.verdict),
        reasoning: judgement.reasoning.clone(),
        met_criteria: CriterionResult::texts(&judgement.criteria, true),
        unmet_criteria: CriterionResult::texts(&judgement.criteria, false),
        criteria: judgement.criteria,
        error: None,
        usage: usages,
        usage_total: usages.total(),
        ..outcome
    }
}

fn show(outcome: &RunCompleted, json: bool) -> Result<Finished, CliError> {
    if json {
        emit(&Printed { rejudged: true, outcome })?;
    } else {
        say(table(std::slice::from_ref(outcome)));
    }
    Ok(if outcome.success { Finished::Well } else { Finished::WithFailedRuns })
}
