//! The process's side: a run plane over the plan, whose way out to the worker is the pipe.

mod cassettes;
mod journal;
mod limiter;
mod limits;
mod line;
mod log;
mod meter;
mod received;
mod spool;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::journal::PipeJournal;
use super::frames::{ChildEnd, FromChild, VERSION};
use super::plan::Plan;
use crate::execution::orchestrator::{Orchestrator, RunContext, RunEnd};
use crate::execution::signals::Progress;
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::run::trace_id;

pub use cassettes::PipeCassettes;
pub use limiter::PipeLimiter;
pub use limits::{LimitError, confine};
pub use line::{Line, OpenError};
pub use log::send_log;
pub use meter::PipeMeter;
pub use spool::PipeSpool;

/// How often the worker is told that the run got on. It waits for much longer before it gives a run up.
const MOVED_INTERVAL: Duration = Duration::from_secs(1);

/// Opens the pipe and reads the plan. Nothing may have been written to the standard output, nor be later.
///
/// # Errors
/// [`OpenError`] if there is no plan that can be read; the worker is told so.
pub fn open() -> Result<(Plan, Line), OpenError> {
    let (plan, line) = Line::open()?;
    if plan.version == VERSION {
        return Ok((plan, line));
    }
    let error = OpenError::Version { found: plan.version };
    line.close(&FromChild::Refused { reason: error.to_string() });
    Err(error)
}

/// Plays the run of `plan` and tells the worker how it ended.
///
/// # Errors
/// If the process cannot listen to signals.
pub async fn play(
    plan: Plan,
    line: Line,
    orchestrator: Orchestrator,
    hub: Hub,
    metrics: &Metrics,
) -> std::io::Result<()> {
    // Whoever stops a service may signal all of its processes. The worker has time to drain then, and its runs with it: it
    // says over the pipe when that is over, or closes it.
    let _ignored = signal(SignalKind::terminate())?;
    let (request, journal) = (Arc::new(plan.request), PipeJournal(line.clone()));
    let (stop, progress) = (line.stop(), Progress::default());
    let (attempt, resumed) = (plan.attempt, plan.resumed);
    let context = RunContext { attempt, resumed, journal: &journal, stop, progress: progress.clone() };
    let hearing = received::hear(line.clone(), hub, trace_id(&request));
    let hearing = AbortOnDropHandle::new(tokio::spawn(hearing));
    let end = tokio::select! {
        end = orchestrator.run(&request, context) => end,
        never = tell_of(&progress, &line) => match never {},
    };
    let end = match end {
        RunEnd::Outcome { .. } => ChildEnd::Outcome,
        RunEnd::Interrupted { spans, .. } => ChildEnd::Interrupted(spans),
    };
    drop(hearing);
    line.close(&FromChild::End { end, tally: metrics.span_tally() });
    Ok(())
}

async fn tell_of(progress: &Progress, line: &Line) -> std::convert::Infallible {
    loop {
        let since = Instant::now();
        tokio::time::sleep(MOVED_INTERVAL).await;
        if progress.idle() <= since.elapsed() {
            line.say(&FromChild::Moved);
        }
    }
}
