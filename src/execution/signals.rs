//! Telling a run to stop, and why.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why a run is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody cancelled it: an outcome.
    Cancelled,
    /// It is another worker's now: say nothing.
    LeaseLost,
    /// This worker stops: the run goes on elsewhere.
    HandBack,
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
