//! How many calls may be made: whoever is about to make one goes through a gate, and may have to wait there.
//!
//! Waiting is neither the run's stall nor the callee's time: whoever measures those is told of it.

mod gate;
mod scope;
mod waiting;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use gate::{Admission, Gate, Passage};
pub use scope::{Scope, ScopeKind};
pub(in crate::execution) use waiting::Wait;
pub use waiting::{Announcing, Both, SpanWaits, TotalWait, Unwatched, Waiting};

/// Whoever was called said that there are too many calls (HTTP 429).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// How long they ask to be left alone.
    pub retry_after: Option<Duration>,
}

/// Lets calls through at the rate that their scopes allow.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Waits until a call may be made in each of `scopes`, which go from the narrowest to the widest. Whoever gives
    /// up drops the future and leaves nothing behind.
    async fn admit(&self, scopes: &[Scope]) -> Box<dyn Permit>;
}

/// The right to make one call. It is over when this is dropped.
#[async_trait]
pub trait Permit: Send + Sync {
    /// The call was refused: the first of its scopes slows down, for everybody.
    fn refused(&self, throttled: Throttled);

    /// Waits until the same call may be made once more.
    async fn again(&self);
}
