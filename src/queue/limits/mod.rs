//! Limits of calls that all workers keep together, in a key-value bucket.
//!
//! For each scope a worker has one keeper; it asks for what its waiting calls need, all at once. Without the broker no
//! limited call begins, and those under way go on: a run waits then for as long as its lease lasts.

mod clock;
mod desk;
mod keeper;
mod pace;
mod permit;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::kv;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::Connection;
use super::bucket::Bucket;
use crate::execution::limits::{Limiter, Permit, Scope, ScopeKind};
use clock::ServerClock;
pub use clock::SharedClock;
use desk::{Asked, LATENESS};
use keeper::{Keeper, Message};
use permit::{KvPermit, Pass};

/// The shortest wait that is counted: what is shorter is the limiter's own work.
const NOTICEABLE: Duration = Duration::from_millis(20);
/// How often a moment that grew old while a call waited in its next scope is taken anew.
const RENEWALS: usize = 3;

/// Waits and refusals of a kind of scope.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LimitCounts {
    /// Calls that had to wait.
    pub waits: u64,
    /// How long they waited in all.
    pub waited: Duration,
    /// Calls that the callee refused as too many.
    pub refusals: u64,
}

/// Limits calls together with all other workers. Clones share everything.
#[derive(Clone)]
pub struct KvLimiter(Arc<Inner>);

/// What a keeper works with.
#[derive(Clone)]
struct Office {
    bucket: Bucket,
    clock: Arc<dyn SharedClock>,
    /// This worker's name in the bucket.
    worker: String,
    /// For how long its part in the places lasts, in microseconds.
    lease: i64,
}

struct Inner {
    office: Office,
    keepers: Mutex<HashMap<String, mpsc::UnboundedSender<Message>>>,
    counts: Mutex<BTreeMap<ScopeKind, LimitCounts>>,
}

impl KvLimiter {
    /// Limits by the server's clock. What a lost worker had in flight counts for `lease`.
    #[must_use]
    pub fn new(connection: &Connection, store: &kv::Store, lease: Duration) -> Self {
        let clock = ServerClock::new(&connection.jetstream, store.stream_name.clone());
        Self::by_clock(connection, store, lease, Arc::new(clock))
    }

    /// Limits by `clock`.
    #[must_use]
    pub fn by_clock(
        connection: &Connection,
        store: &kv::Store,
        lease: Duration,
        clock: Arc<dyn SharedClock>,
    ) -> Self {
        let (bucket, worker) = (Bucket::over(connection, store), Uuid::new_v4().simple().to_string());
        let office = Office { bucket, clock, worker, lease: micros(lease) };
        let (keepers, counts) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { office, keepers, counts }))
    }

    /// What happened so far, by kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ScopeKind, LimitCounts> {
        let counts = self.0.counts();
        ScopeKind::ALL.map(|kind| (kind, counts.get(&kind).copied().unwrap_or_default())).into()
    }

    fn now(&self) -> i64 {
        self.0.office.clock.now()
    }

    fn count_refusal(&self, kind: ScopeKind) {
        self.0.counts().entry(kind).or_default().refusals += 1;
    }

    /// Waits for a moment in `scope`, and for a place if `place` says so.
    async fn pass(&self, scope: &Scope, place: bool) -> Pass {
        let began = Instant::now();
        let pass = loop {
            // A keeper that ends in between does not answer; its successor does.
            if let Ok(pass) = self.ask(scope, place).await {
                break pass;
            }
        };
        let waited = began.elapsed();
        if waited >= NOTICEABLE {
            let mut counts = self.0.counts();
            let counts = counts.entry(scope.kind).or_default();
            (counts.waits, counts.waited) = (counts.waits + 1, counts.waited + waited);
        }
        pass
    }

    fn ask(&self, scope: &Scope, place: bool) -> oneshot::Receiver<Pass> {
        let (reply, answer) = oneshot::channel();
        self.tell(scope, Message::Ask(Asked { place, reply }, scope.limits));
        answer
    }

    /// Tells the keeper of `scope`, who begins if there is none.
    fn tell(&self, scope: &Scope, message: Message) {
        let mut keepers = self.0.keepers();
        let start = || Keeper::start(scope, self.0.office.clone(), Arc::downgrade(&self.0));
        let keeper = keepers.entry(keeper::key(scope)).or_insert_with(start);
        if keeper.send(message).is_err() {
            keepers.remove(&keeper::key(scope));
        }
    }
}

#[async_trait]
impl Limiter for KvLimiter {
    /// From the narrowest scope to the widest, so that no two calls wait for each other. A moment that is old by the
    /// time that all is there is taken anew, or calls that waited elsewhere would bunch.
    async fn admit(&self, scopes: &[Scope]) -> Box<dyn Permit> {
        let mut passes: Vec<Pass> = Vec::with_capacity(scopes.len());
        for scope in scopes {
            passes.push(self.pass(scope, true).await);
        }
        for _ in 0..RENEWALS {
            let Some((scope, pass)) = old(scopes, &mut passes, self.now()) else { break };
            pass.moment = self.pass(scope, false).await.moment;
        }
        Box::new(KvPermit::new(self.clone(), scopes, passes))
    }
}

impl Inner {
    fn keepers(&self) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Message>>> {
        // Every change leaves the map whole.
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<ScopeKind, LimitCounts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the keeper of `key`, unless there is something for it to do.
    fn dismiss(&self, key: &str, messages: &mpsc::UnboundedReceiver<Message>) -> bool {
        let mut keepers = self.keepers();
        messages.is_empty() && keepers.remove(key).is_some()
    }
}

/// A pass whose moment is old. The last one was not waited for in vain: nothing came after it.
fn old<'a>(scopes: &'a [Scope], passes: &'a mut [Pass], now: i64) -> Option<(&'a Scope, &'a mut Pass)> {
    let before_the_last = passes.len().saturating_sub(1);
    let is_paced = |scope: &Scope| scope.limits.requests_per_minute.is_some();
    let mut earlier = scopes.iter().zip(passes).take(before_the_last);
    earlier.find(|(scope, pass)| is_paced(scope) && now - pass.moment > LATENESS)
}

fn micros(duration: Duration) -> i64 {
    duration.as_micros().try_into().unwrap_or(i64::MAX)
}
