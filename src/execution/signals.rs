//! Telling a run to stop, and why.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
pub struct Progress(Arc<Mutex<Instant>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Progress {
    /// The run got on just now.
    pub fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago the run last got on.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until the run has not got on for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        while let Some(left) = limit.checked_sub(self.idle()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
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
