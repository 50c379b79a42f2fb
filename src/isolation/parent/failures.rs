//! What it means for a run that its process came to grief.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use super::process::Death;
use super::relay::Finish;
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};
use crate::execution::orchestrator::TIMED_OUT;

/// How a Rust program says that it got no memory, before it aborts.
const NO_MEMORY: &str = "memory allocation of ";
/// The signal with which a program aborts (POSIX).
const SIGABRT: i32 = 6;

/// What to do about a process that is gone.
const READ_THE_LOG: &str = "The worker's log has what the process wrote, at level debug (`SCENARIO_WORKER_LOG=scenario_worker=debug`).";

/// The failure of a run whose process came to this end; it had `limit` bytes of memory.
pub(super) fn of(finish: &Finish, death: &Death, limit: u64) -> RunFailure {
    match finish {
        Finish::Nonsense(what) => nonsense(what),
        Finish::OutOfTime | Finish::Overdue => worker(code::EXECUTION_TIMEOUT, TIMED_OUT)
            .with_hint("The run's process did not end when its time was up, and was killed."),
        Finish::Silent => worker(code::EXECUTION_STALLED, "The run's process said nothing any more")
            .with_hint("It was killed. Raise `run.stall_timeout_seconds` if a step may take that long."),
        Finish::Interrupted(_) => nonsense("it gave the run up without a reason"),
        Finish::Outcome => nonsense("it said that the run has an outcome, and stored none"),
        Finish::Gone if is_out_of_memory(death) => out_of_memory(limit),
        Finish::Gone => crashed(death.status),
    }
}

/// The process said `what` cannot be understood or may not be said.
pub(super) fn nonsense(what: &str) -> RunFailure {
    worker(code::CHILD_PROTOCOL, format!("The run's process broke the rules of its pipe: {what}"))
        .with_hint(READ_THE_LOG)
}

/// There is no program to start.
pub(super) fn unstarted() -> RunFailure {
    worker(code::RUNNER_UNAVAILABLE, "The run's process could not be started")
        .with_hint("The installation of the worker is incomplete; its log has the details.")
}

fn crashed(status: Option<ExitStatus>) -> RunFailure {
    let how = status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string());
    worker(code::CHILD_CRASHED, format!("The run's process ended before the run did ({how})"))
        .with_hint(READ_THE_LOG)
}

fn out_of_memory(limit: u64) -> RunFailure {
    let message = format!("The run's process asked for more memory than it may have ({limit} bytes)");
    worker(code::CHILD_OUT_OF_MEMORY, message)
        .with_hint("Raise `run.process.memory_bytes`, or let the agent answer more briefly.")
}

fn is_out_of_memory(death: &Death) -> bool {
    let aborted = death.status.and_then(|status| status.signal()) == Some(SIGABRT);
    aborted && death.output.contains(NO_MEMORY)
}

fn worker(code: &'static str, message: impl Into<String>) -> RunFailure {
    RunFailure::new(code, Attribution::Worker, message)
}
