//! `cancel`: stop a run, or every run of a batch.

use super::arguments::{CancelOptions, Layers};
use super::error::{CliError, Finished};
use super::terminal::say;
use super::wiring;
use crate::events::subjects::COMMANDS_STREAM;
use crate::events::{CancelRequest, CancelScope};
use crate::queue::cancellation;

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker cancel";

/// Asks the workers to stop. The command is stored before this returns; what comes of it is the run's outcome.
pub(super) async fn run(layers: &Layers, options: CancelOptions) -> Result<Finished, CliError> {
    let CancelOptions { project: project_id, run, batch } = options;
    let scope = match (run, batch) {
        (Some(scenario_run_id), _) => CancelScope::Run { scenario_run_id },
        (None, Some(batch_run_id)) => CancelScope::Batch { batch_run_id },
        (None, None) => return Err(CliError::refused("name a run, or a batch with --batch")),
    };
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[COMMANDS_STREAM]).await?;
    let request = CancelRequest { project_id, scope };
    cancellation::request_cancel(&connection, &request)
        .await
        .map_err(|error| CliError::out_of_reach(&error))?;
    say("the request to cancel is stored; the run's outcome says what came of it");
    Ok(Finished::Well)
}
