//! `cancel`: stop a run, or every run of a batch.

use serde::Serialize;

use super::arguments::{CancelOptions, Layers};
use super::error::{CliError, Finished};
use super::terminal::{emit, say};
use super::wiring;
use crate::events::subjects::COMMANDS_STREAM;
use crate::events::{BatchRunId, CancelReply, CancelRequest, CancelScope, ReportedPhase, RunId, RunStatus};
use crate::queue::cancellation::{Asked, ask_to_cancel};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker cancel";

/// Asks the workers to stop. The command is stored before this returns; what comes of it is the run's outcome.
pub(super) async fn run(layers: &Layers, options: CancelOptions) -> Result<Finished, CliError> {
    let CancelOptions { project: project_id, run, batch, json } = options;
    let scope = scope(run, batch)?;
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[COMMANDS_STREAM]).await?;
    let request = CancelRequest { project_id, scope };
    let asked = ask_to_cancel(&connection, &request).await.map_err(|error| CliError::out_of_reach(&error))?;
    if json {
        emit(&line(&request, asked))?;
    }
    say(told(&request.scope, asked));
    Ok(Finished::Well)
}

fn scope(run: Option<RunId>, batch: Option<BatchRunId>) -> Result<CancelScope, CliError> {
    match (run, batch) {
        (Some(scenario_run_id), _) => Ok(CancelScope::Run { scenario_run_id }),
        (None, Some(batch_run_id)) => Ok(CancelScope::Batch { batch_run_id }),
        (None, None) => Err(CliError::refused("name a run, or a batch with --batch")),
    }
}

/// What is printed for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// The stream has the request to cancel.
    cancel_requested: bool,
    #[serde(flatten)]
    request: &'a CancelRequest,
    /// Where the run was, if a worker said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<ReportedPhase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
}

fn line(request: &CancelRequest, asked: Asked) -> Line<'_> {
    Line { cancel_requested: true, request, phase: phase(asked), status: status(asked) }
}

fn phase(asked: Asked) -> Option<ReportedPhase> {
    match asked {
        Asked::Answered(reply) => Some(reply.phase),
        Asked::Stored => None,
    }
}

fn status(asked: Asked) -> Option<RunStatus> {
    match asked {
        Asked::Answered(reply) => reply.status,
        Asked::Stored => None,
    }
}

fn told(scope: &CancelScope, asked: Asked) -> String {
    match (scope, asked) {
        (_, Asked::Stored) => {
            "no worker answers (is one running? `scenario-worker serve`); the request to cancel is stored for the next one".to_owned()
        }
        (CancelScope::Batch { .. }, Asked::Answered(_)) => {
            "the request to cancel the batch is stored; its runs' outcomes say what came of it".to_owned()
        }
        (CancelScope::Run { .. }, Asked::Answered(CancelReply { phase, status, .. })) => {
            of_run(phase, status)
        }
    }
}

fn of_run(phase: ReportedPhase, status: Option<RunStatus>) -> String {
    let status = status.map(|status| format!(": {status:?}").to_uppercase()).unwrap_or_default();
    match phase {
        ReportedPhase::Finished => format!("the run has finished already{status}"),
        ReportedPhase::Running => {
            "the run is running and is told to stop; its outcome says what came of it".to_owned()
        }
        ReportedPhase::Queued => "the run waits for a worker, and is cancelled when one has it".to_owned(),
        ReportedPhase::Unknown => {
            "no worker has had the run yet; the request to cancel is stored and stops it when it begins"
                .to_owned()
        }
    }
}
