//! What everybody saw: requests that the broker took, events that it keeps, calls at the doubles, lives of workers,
//! faults.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::script::Step;

/// Time since the epoch: the broker's clock and ours are the same machine's.
pub(crate) type Moment = Duration;

/// The time.
pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// [`Limits::drain`] of most fleets: shorter than most runs.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// What holds for the whole fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The lease of a silent worker.
    pub(crate) ack_wait: Duration,
    /// Runs in flight in one worker.
    pub(crate) concurrency: usize,
    /// Runs in flight over all workers.
    pub(crate) max_ack_pending: usize,
    /// How long a worker that is told to stop lets runs go on.
    pub(crate) drain: Duration,
}

impl Limits {
    /// The time between two heartbeats.
    pub(crate) fn beat(&self) -> Duration {
        self.ack_wait / 3
    }
}

/// Something that the broker confirmed: a request or a cancel request.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) run: String,
    pub(crate) at: Moment,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// Nobody knows yet.
    Open,
    /// The whole answer was handed over.
    Answered(Moment),
    /// The caller went away.
    Abandoned(Moment),
}

/// A call at a double.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) run: String,
    pub(crate) step: Step,
    /// Which worker of the fleet made it.
    pub(crate) worker: usize,
    pub(crate) from: Moment,
    pub(crate) end: CallEnd,
    /// When the caller was seen to have read the whole answer.
    pub(crate) read: Option<Moment>,
    /// The idempotency key that it carried.
    pub(crate) key: Option<String>,
}

impl Call {
    /// When it ended; never, if it did not.
    pub(crate) fn until(&self) -> Moment {
        match self.end {
            CallEnd::Open => Moment::MAX,
            CallEnd::Answered(at) | CallEnd::Abandoned(at) => at,
        }
    }
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Started,
    Message,
    Completed,
}

/// An event as the stream keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) run: String,
    pub(crate) kind: Kind,
    /// When it was stored.
    pub(crate) at: Moment,
    pub(crate) payload: Value,
}

/// One process of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) worker: usize,
    pub(crate) from: Moment,
    /// When and how it ended, if it did.
    pub(crate) end: Option<(Moment, Death)>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// By a signal that it was sent, or because it was told to stop.
    Told,
    /// It gave up before it took requests, as when broker or database are away.
    Stillborn(ExitStatus),
    /// Nobody told it to.
    Own(ExitStatus),
}

/// What was done to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FaultKind {
    /// `kill -9`.
    Kill,
    /// `kill -STOP`, and after more than `ack_wait` `kill -CONT`.
    Freeze,
    /// The same for less than `ack_wait`, but for longer than a lease may have left.
    Nap,
    /// `kill -TERM`: runs are handed back.
    Terminate,
    /// The broker is killed and started again.
    BrokerKill,
    /// The broker is killed and started again later.
    BrokerOutage,
    /// Every connection to the broker is cut once.
    Cut,
    /// The broker is out of reach for longer than `ack_wait`.
    Partition,
    /// The connection to the broker stays and carries nothing for longer than `ack_wait`.
    Blackhole,
    /// The connection to the broker is slow.
    Delay,
    /// The database is away.
    DatabaseOutage,
    /// Nobody's doing: this machine stood still.
    MachineStall,
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whom it hit; `None` is everybody.
    pub(crate) worker: Option<usize>,
    pub(crate) from: Moment,
    pub(crate) until: Moment,
    /// Since when the broker is known to have heard nothing of the worker's runs.
    pub(crate) unheard_since: Option<Moment>,
}

impl Fault {
    /// Whether it hit `worker`.
    pub(crate) fn hit(&self, worker: usize) -> bool {
        self.worker.is_none_or(|hit| hit == worker)
    }

    /// Whether it, or what comes of it for another `reach`, falls into the time between.
    pub(crate) fn touches(&self, from: Moment, until: Moment, reach: Duration) -> bool {
        self.from <= until && from <= self.until + reach
    }
}

/// Everything that everybody saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) duplicates: usize,
    pub(crate) cancels: Vec<Accepted>,
    pub(crate) events: Vec<Event>,
    pub(crate) calls: Vec<Call>,
    /// Calls that the doubles did not understand, which is a mistake of theirs or a broken call.
    pub(crate) misunderstood: usize,
    pub(crate) lives: Vec<Life>,
    pub(crate) faults: Vec<Fault>,
    /// What the broker keeps of each run when all is over.
    pub(crate) states: BTreeMap<String, Value>,
    /// Pieces of large transcripts that were ever stored.
    pub(crate) pieces: u64,
}

impl History {
    /// The longest time between two calls that began one after the other.
    pub(crate) fn silence(&self, from: Moment, until: Moment) -> Duration {
        let mut calls: Vec<_> = self.calls.iter().map(|call| call.from).collect();
        calls.retain(|call| (from..until).contains(call));
        calls.sort_unstable();
        calls.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
    }
}

/// A history in the making, which many write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    /// The history, for writing.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history so far.
    pub(crate) fn snapshot(&self) -> History {
        self.history().clone()
    }

    /// A fault was over just now.
    pub(crate) fn fault(&self, kind: FaultKind, worker: Option<usize>, from: Moment) {
        self.history().faults.push(Fault { kind, worker, from, until: now(), unheard_since: None });
    }

    /// A worker was killed just now; since `unheard_since` the broker heard nothing of its runs.
    pub(crate) fn kill(&self, worker: usize, from: Moment, unheard_since: Option<Moment>) {
        let (kind, until) = (FaultKind::Kill, now());
        self.history().faults.push(Fault { kind, worker: Some(worker), from, until, unheard_since });
    }

    /// A call begins; the number names it.
    pub(crate) fn call(&self, run: String, step: Step, worker: usize, key: Option<String>) -> usize {
        let mut history = self.history();
        let (from, end, read) = (now(), CallEnd::Open, None);
        history.calls.push(Call { run, step, worker, from, end, read, key });
        history.calls.len() - 1
    }

    /// A call is over.
    pub(crate) fn call_ended(&self, call: usize, end: CallEnd) {
        self.history().calls[call].end = end;
    }

    /// The answer of a call was read.
    pub(crate) fn call_was_read(&self, call: usize) {
        self.history().calls[call].read = Some(now());
    }

    /// A worker's process begins; the number names it.
    pub(crate) fn born(&self, worker: usize) -> usize {
        let mut history = self.history();
        history.lives.push(Life { worker, from: now(), end: None });
        history.lives.len() - 1
    }

    /// A worker's process is over.
    pub(crate) fn died(&self, life: usize, death: Death) {
        self.history().lives[life].end = Some((now(), death));
    }
}
