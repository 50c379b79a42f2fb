//! The end of a session: once, in bounded time, and without a word in the verdict.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use super::failure::{RunFailure, code};
use super::ports::{SessionCall, TargetAdapter};
use super::types::{Session, SpanNote};
use crate::events::Attribution;

/// Ends `session` within `limit`: the outcome waits for it. What goes wrong is noted on the span and in the log, and that is all that comes of it.
pub(super) async fn end(
    target: &dyn TargetAdapter,
    call: SessionCall<'_>,
    session: Session,
    limit: Duration,
) {
    let SessionCall { run, span } = call;
    let ending = AssertUnwindSafe(target.end(call, session)).catch_unwind();
    let failure = match tokio::time::timeout(limit, ending).await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(failure))) => failure,
        Ok(Err(_)) => RunFailure::new(
            code::WORKER_PANIC,
            Attribution::Worker,
            "The worker failed while it ended the session",
        ),
        Err(_) => {
            let message = format!("The agent did not end its session within {} s", limit.as_secs());
            RunFailure::new(code::EXECUTION_TIMEOUT, Attribution::Target, message)
        }
    };
    // The message may hold the agent's own words, which belong to the run alone.
    tracing::warn!(%run, code = %failure.code, "the session of a run could not be ended");
    let error = failure.to_error();
    span.note(SpanNote::SessionNotEnded { code: error.code, message: error.message });
}
