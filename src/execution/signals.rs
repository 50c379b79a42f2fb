//! Telling a run to stop, and why.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Waiting;

/// Why a run is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody cancelled it: an outcome.
    Cancelled,
    /// It is another worker's now: say nothing.
    LeaseLost,
    /// This worker stops: the run goes on elsewhere.
    HandBack,
}

/// When a run last got on. Shared by whoever plays it and whoever watches that it does not stall.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Pulse>>);

#[derive(Debug)]
struct Pulse {
    last: Instant,
    /// Calls that wait for their turn: nobody is to blame for that.
    waiting: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Pulse { last: Instant::now(), waiting: 0 })))
    }
}

impl Progress {
    /// The run got on just now.
    pub fn touch(&self) {
        self.pulse().last = Instant::now();
    }

    /// How long ago the run last got on. While a call waits for its turn the run is not idle.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let pulse = self.pulse();
        if pulse.waiting > 0 { Duration::ZERO } else { pulse.last.elapsed() }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        // Every change leaves the pulse whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the run has not got on for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        while let Some(left) = limit.checked_sub(self.idle()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
    }
}

impl Waiting for Progress {
    fn begins(&self) {
        self.pulse().waiting += 1;
    }

    fn over(&self, _: Duration) {
        let mut pulse = self.pulse();
        pulse.waiting = pulse.waiting.saturating_sub(1);
        pulse.last = Instant::now();
    }
}

/// The stop signal of one run. The first reason counts.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    reason: Arc<OnceLock<StopReason>>,
    token: CancellationToken,
}

impl StopSignal {
    /// Tells the run to stop; later reasons change nothing.
    pub fn stop(&self, reason: StopReason) {
        if self.reason.set(reason).is_ok() {
            self.token.cancel();
        }
    }

    /// Why the run was told to stop, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Waits until the run is told to stop.
    pub async fn stopped(&self) -> StopReason {
        loop {
            self.token.cancelled().await;
            if let Some(reason) = self.reason() {
                return reason;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_run_that_waits_for_its_turn_does_not_stall_until_the_wait_is_over() {
        let progress = Progress::default();
        progress.begins();
        let stalled = tokio::time::timeout(LIMIT * 10, progress.stalled(LIMIT)).await;
        assert!(stalled.is_err(), "it stalled while it waited");
        assert_eq!(progress.idle(), Duration::ZERO);
        progress.over(LIMIT * 10);
        let over = Instant::now();
        progress.stalled(LIMIT).await;
        assert!(over.elapsed() >= LIMIT, "the clock of the stall begins when the wait is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_does_not_keep_a_run_alive() {
        let progress = Progress::default();
        progress.begins();
        progress.begins();
        progress.over(Duration::ZERO);
        assert_eq!(progress.idle(), Duration::ZERO, "another call waits still");
        progress.over(Duration::ZERO);
        tokio::time::timeout(LIMIT * 2, progress.stalled(LIMIT)).await.unwrap();
    }
}
