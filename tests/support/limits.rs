//! A limiter that remembers, and a clock that goes when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::definitions::CallLimits;
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::limits::{Limiter, Permit, Scope, ScopeKind, Throttled};
use scenario_worker::queue::limits::SharedClock;
use tokio::sync::watch;

/// Microseconds of the clock in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// How often everybody gets to do something before the clock goes on.
const ROUNDS: usize = 32;

/// Scopes with limits that are as good as none.
pub(crate) fn scope(kind: ScopeKind) -> Scope {
    let limits = CallLimits { requests_per_minute: Some(1_000_000), max_in_flight: Some(1_000) };
    Scope::of(kind, &["somebody"], Some(limits)).unwrap()
}

/// Lets everybody through after a while, and remembers who was there.
#[derive(Clone, Default)]
pub(crate) struct Doorkeeper {
    takes: Duration,
    seen: Arc<Mutex<Seen>>,
}

/// What a doorkeeper remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The kinds of scopes of each call that was let through.
    pub(crate) admitted: Vec<Vec<&'static str>>,
    /// Calls that were let through another time.
    pub(crate) again: usize,
    /// Refusals that were told.
    pub(crate) refused: Vec<Throttled>,
    /// Calls under way.
    pub(crate) inside: usize,
}

impl Doorkeeper {
    /// A doorkeeper who lets everybody wait for so long.
    pub(crate) fn slow(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    /// What happened so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Limiter for Doorkeeper {
    async fn admit(&self, scopes: &[Scope]) -> Box<dyn Permit> {
        tokio::time::sleep(self.takes).await;
        let mut seen = self.seen.lock().unwrap();
        seen.admitted.push(scopes.iter().map(|scope| scope.kind.as_str()).collect());
        seen.inside += 1;
        Box::new(Ticket(self.clone()))
    }
}

struct Ticket(Doorkeeper);

#[async_trait]
impl Permit for Ticket {
    fn refused(&self, throttled: Throttled) {
        self.0.seen.lock().unwrap().refused.push(throttled);
    }

    async fn again(&self) {
        tokio::time::sleep(self.0.takes).await;
        self.0.seen.lock().unwrap().again += 1;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap().inside -= 1;
    }
}

/// A clock that goes when it is told to. Clones show the same.
#[derive(Clone)]
pub(crate) struct PassedClock(Arc<Hands>);

struct Hands {
    now: watch::Sender<i64>,
    sleepers: Mutex<(u64, BTreeMap<u64, i64>)>,
}

impl PassedClock {
    /// A clock that stands at some time.
    pub(crate) fn new() -> Self {
        let now = watch::Sender::new(1_000_000 * SECOND);
        Self(Arc::new(Hands { now, sleepers: Mutex::default() }))
    }

    /// Lets the clock go on from one thing to do to the next until `done`. It goes only while `keepers` of those who
    /// look at it have nothing to do, so that nobody is late.
    pub(crate) async fn drive<T>(&self, keepers: usize, done: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            result = done => result,
            never = self.go(keepers) => match never {},
        }
    }

    async fn go(&self, keepers: usize) -> std::convert::Infallible {
        loop {
            let mut quiet = 0;
            while quiet < ROUNDS {
                tokio::task::yield_now().await;
                quiet = if self.sleeping() >= keepers { quiet + 1 } else { 0 };
            }
            let next = self.0.sleepers.lock().unwrap().1.values().min().copied();
            self.0.now.send_modify(|now| *now = next.unwrap_or(*now).max(*now));
            tokio::task::yield_now().await;
        }
    }

    fn sleeping(&self) -> usize {
        self.0.sleepers.lock().unwrap().1.len()
    }
}

/// Somebody who looks at the clock.
struct Sleeper(Arc<Hands>, u64);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.sleepers.lock().unwrap().1.remove(&self.1);
    }
}

#[async_trait]
impl SharedClock for PassedClock {
    async fn agree(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn now(&self) -> i64 {
        *self.0.now.borrow()
    }

    async fn until(&self, at: i64) {
        let _sleeper = {
            let mut sleepers = self.0.sleepers.lock().unwrap();
            sleepers.0 += 1;
            let number = sleepers.0;
            sleepers.1.insert(number, at);
            Sleeper(Arc::clone(&self.0), number)
        };
        self.0.now.subscribe().wait_for(|now| *now >= at).await.unwrap();
    }
}
