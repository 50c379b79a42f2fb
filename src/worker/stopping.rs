//! What makes a run stop before its end: a lost lease, a cancel, or this worker's own stop.

use std::convert::Infallible;

use tokio_util::sync::CancellationToken;

use crate::execution::signals::{StopReason, StopSignal};

/// The tokens that a run listens to.
pub(super) struct StopSources {
    /// Fires when the lease is lost.
    pub(super) lease_lost: CancellationToken,
    /// Fires when somebody cancels the run.
    pub(super) cancelled: CancellationToken,
    /// Fires when this worker hands its runs back.
    pub(super) hand_back: CancellationToken,
}

impl StopSources {
    /// Passes the first token that fires on to `signal`, or that another worker has `taken_over` the run. A lost lease
    /// counts even after another reason did, because then nothing may be published any more; the signal keeps the
    /// first reason, and whatever is stored or published looks at the lease itself.
    pub(super) async fn relay(
        &self,
        taken_over: impl Future<Output = ()>,
        signal: &StopSignal,
    ) -> Infallible {
        let reason = tokio::select! {
            biased;
            () = self.lease_lost.cancelled() => StopReason::LeaseLost,
            () = taken_over => StopReason::LeaseLost,
            () = self.cancelled.cancelled() => StopReason::Cancelled,
            () = self.hand_back.cancelled() => StopReason::HandBack,
        };
        signal.stop(reason);
        std::future::pending().await
    }
}
