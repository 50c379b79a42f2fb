//! The lease of a delivery: heartbeats that the server confirms, and a clock that says when it is over.
//!
//! The server takes a late acknowledgement for a good one, so only the worker's own clock can tell that a message
//! may be another worker's by now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::delivery::{Confirmer, Delivery};
use super::retry::Pause;

/// The part of `ack_wait` that is given away for safety: one in this many. It covers the way from the server.
const MARGIN_PART: u32 = 10;
/// A heartbeat comes up to one in this many early, so that a fleet's heartbeats spread out.
const JITTER_PART: u32 = 10;
/// After a heartbeat that was not confirmed, the next comes this many times sooner.
const RETRY_SPEEDUP: u32 = 5;

/// Until when a delivery is this worker's. It takes the time as an argument.
#[derive(Debug, Clone, Copy)]
struct LeaseClock {
    length: Duration,
    until: Instant,
}

impl LeaseClock {
    fn new(received_at: Instant, ack_wait: Duration) -> Self {
        let length = ack_wait.saturating_sub(ack_wait / MARGIN_PART);
        Self { length, until: received_at + length }
    }

    /// The server confirmed what was sent at `sent_at`. A lease that is over stays so: who had the message after it
    /// cannot be known.
    fn confirmed(&mut self, sent_at: Instant, now: Instant) {
        if now < self.until {
            self.until = self.until.max(sent_at + self.length);
        }
    }

    fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

/// The clock that a delivery and the task that holds its lease share.
#[derive(Debug)]
pub(super) struct SharedLeaseClock(Mutex<LeaseClock>);

impl SharedLeaseClock {
    pub(super) fn new(ack_wait: Duration) -> Self {
        Self(Mutex::new(LeaseClock::new(Instant::now(), ack_wait)))
    }

    /// What is left of the lease; `None` if it is over.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.with(|clock| clock.remaining(now))
    }

    fn confirmed(&self, sent_at: Instant) {
        self.with(|clock| clock.confirmed(sent_at, Instant::now()));
    }

    fn with<T>(&self, act: impl FnOnce(&mut LeaseClock) -> T) -> T {
        // The clock is two plain values: a panic elsewhere leaves it whole.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Heartbeats that the server did not confirm. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct LeaseMisses(Arc<AtomicU64>);

impl LeaseMisses {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Keeps a delivery this worker's while it is held. Dropping it stops the heartbeats.
#[derive(Debug)]
pub struct Lease {
    clock: Arc<SharedLeaseClock>,
    lost: CancellationToken,
    confirmed: CancellationToken,
    task: JoinHandle<()>,
}

impl Lease {
    /// Starts the heartbeats of `delivery`, one at once and one every `heartbeat`, for as long as `is_alive` says so: what is stuck must
    /// not be kept for ever by a task that is not.
    #[must_use]
    pub fn hold(
        delivery: &Delivery,
        heartbeat: Duration,
        is_alive: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let (lost, confirmed) = (CancellationToken::new(), CancellationToken::new());
        let clock = Arc::clone(delivery.clock());
        let keeper = Keeper {
            clock: Arc::clone(&clock),
            confirmed: confirmed.clone(),
            confirmer: delivery.confirmer(),
            misses: delivery.misses(),
            sequence: delivery.stream_sequence(),
            heartbeat,
            is_alive: Box::new(is_alive),
        };
        let task = tokio::spawn(keeper.run(lost.clone()));
        Self { clock, lost, confirmed, task }
    }

    /// Waits for the server to confirm the first heartbeat; false if it did not while the lease lasted. Nobody knows
    /// before how long the message lay in a buffer of this process, with the server's clock running.
    pub async fn confirmed(&self) -> bool {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => false,
            () = self.confirmed.cancelled() => true,
        }
    }

    /// Whether the lease lasts, by this worker's clock: true at this moment even where nobody has looked for long.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.lost.is_cancelled() && self.clock.remaining(Instant::now()).is_some()
    }

    /// Attempts again what failed by an outage, for as long as the lease lasts. The last error comes back.
    ///
    /// # Errors
    /// What the last attempt came to.
    pub async fn insist<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        is_outage: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E> {
        let mut pause = Pause::default();
        loop {
            match attempt().await {
                Err(error) if is_outage(&error) && self.holds() => tokio::time::sleep(pause.next()).await,
                result => return result,
            }
        }
    }

    /// Fires when the lease is over: stop, publish nothing, settle nothing.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    clock: Arc<SharedLeaseClock>,
    confirmed: CancellationToken,
    confirmer: Confirmer,
    misses: LeaseMisses,
    sequence: u64,
    heartbeat: Duration,
    is_alive: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Keeper {
    async fn run(self, lost: CancellationToken) {
        let mut wait = Duration::ZERO;
        while let Some(left) = self.clock.remaining(Instant::now()) {
            // Each pause begins when the beat before is over, so a slow server does not get a burst.
            tokio::time::sleep(wait.min(left)).await;
            if !(self.is_alive)() {
                break;
            }
            wait = if self.beat().await { jittered(self.heartbeat) } else { self.heartbeat / RETRY_SPEEDUP };
        }
        warn!(
            nats.stream_sequence = self.sequence,
            is_alive = (self.is_alive)(),
            "the lease of a delivery is over: what holds it is stuck, or the server confirmed no heartbeat in time"
        );
        lost.cancel();
    }

    async fn beat(&self) -> bool {
        let sent_at = Instant::now();
        let Some(left) = self.clock.remaining(sent_at) else { return false };
        match self.confirmer.confirm(Bytes::from_static(b"+WPI"), left).await {
            Ok(()) => {
                self.clock.confirmed(sent_at);
                self.confirmed.cancel();
                true
            }
            Err(error) => {
                self.misses.add();
                debug!(nats.stream_sequence = self.sequence, %error, "a heartbeat was not confirmed");
                false
            }
        }
    }
}

fn jittered(heartbeat: Duration) -> Duration {
    heartbeat.mul_f64(1.0 - rand::rng().random_range(0.0..1.0 / f64::from(JITTER_PART)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK_WAIT: Duration = Duration::from_secs(30);
    const LENGTH: Duration = Duration::from_secs(27);

    #[test]
    fn a_lease_ends_a_margin_before_ack_wait_does() {
        let start = Instant::now();
        let clock = LeaseClock::new(start, ACK_WAIT);
        assert_eq!(clock.remaining(start), Some(LENGTH));
        assert_eq!(clock.remaining(start + LENGTH), None);
    }

    #[test]
    fn a_confirmed_heartbeat_counts_from_when_it_was_sent() {
        let start = Instant::now();
        let (sent, heard) = (start + Duration::from_secs(10), start + Duration::from_secs(12));
        let mut clock = LeaseClock::new(start, ACK_WAIT);
        clock.confirmed(sent, heard);
        assert_eq!(clock.remaining(sent), Some(LENGTH));
        clock.confirmed(start, heard);
        assert_eq!(clock.remaining(sent), Some(LENGTH), "an older confirmation does not shorten the lease");
    }

    #[test]
    fn a_lease_that_is_over_does_not_come_back() {
        let start = Instant::now();
        let mut clock = LeaseClock::new(start, ACK_WAIT);
        clock.confirmed(start + Duration::from_secs(26), start + LENGTH);
        assert_eq!(clock.remaining(start + LENGTH), None);
    }

    #[test]
    fn jitter_only_makes_heartbeats_earlier() {
        for _ in 0..100 {
            let wait = jittered(ACK_WAIT);
            assert!((ACK_WAIT / JITTER_PART * (JITTER_PART - 1)..=ACK_WAIT).contains(&wait), "{wait:?}");
        }
    }
}
