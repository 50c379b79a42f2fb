//! `execute-run`: the process of one run, which a worker starts (`run.isolation = "process"`).

use std::process::ExitCode;

use super::arguments::ExecuteRunOptions;
use super::error::{CliError, Finished, chain};
use super::wiring;
use crate::isolation::Plan;
use crate::isolation::child::{self, Line};
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::Metrics;

/// Plays the run that comes on the standard input. It has one thread, and that is all that a run needs.
pub(super) fn main(options: &ExecuteRunOptions) -> ExitCode {
    match run(options) {
        Ok(finished) => finished.into(),
        Err(error) => super::report(error, false),
    }
}

fn run(options: &ExecuteRunOptions) -> Result<Finished, CliError> {
    child::confine(options.memory_bytes).map_err(|error| CliError::refused(chain(&error)))?;
    let (plan, line) = child::open().map_err(|error| CliError::refused(chain(&error)))?;
    child::send_log(&line).map_err(|error| CliError::refused(chain(&error)))?;
    crate::http_client::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CliError::refused)?;
    runtime.block_on(Box::pin(play(plan, line)))?;
    // A name that is still looked up must not hold the exit up.
    runtime.shutdown_background();
    Ok(Finished::Well)
}

async fn play(plan: Plan, line: Line) -> Result<(), CliError> {
    let metrics = Metrics::new().map_err(|error| CliError::refused(chain(&error)))?;
    let hub = Hub::default();
    let orchestrator = wiring::alone(&plan, &line, &hub, &metrics)?;
    Box::pin(child::play(plan, line, orchestrator, hub, &metrics)).await.map_err(CliError::refused)
}
