//! What faults explain, and for how long.
//!
//! Nothing is excused without a bound: who dies or loses a run does so within known times, and what happens outside of
//! them is a broken promise, whatever else went wrong.

use std::time::Duration;

use super::{NOTICE, Run};
use crate::history::{Call, Fault, FaultKind, Limits, Moment};

/// Time in which a worker that is well stores an answer which it has read, on a busy machine.
pub(crate) const STORED: Duration = Duration::from_secs(1);
/// The same for a worker that is about to hand its runs back: it decides by itself when it stops.
const STORED_BEFORE_HANDING_BACK: Duration = Duration::from_millis(500);
/// Time for a broker to start and for workers to find it again.
const RECOVERY: Duration = Duration::from_secs(10);
/// A worker gives up this part of its lease, for safety: one in this many.
const MARGIN_PART: u32 = 10;

impl Limits {
    /// The least that a lease has left while heartbeats are confirmed: the next one is just due.
    fn least_left(&self) -> Duration {
        self.ack_wait.saturating_sub(self.ack_wait / MARGIN_PART + self.beat())
    }
}

impl Fault {
    /// Whether it may cost a worker its runs.
    pub(super) fn costs_runs(&self, limits: Limits) -> bool {
        match self.kind {
            FaultKind::Cut | FaultKind::Delay | FaultKind::DatabaseOutage => false,
            FaultKind::BrokerKill | FaultKind::BrokerOutage => {
                self.until.saturating_sub(self.from) + RECOVERY > limits.least_left()
            }
            _ => true,
        }
    }

    /// Whether its worker was asleep.
    pub(super) fn is_sleep(&self) -> bool {
        matches!(self.kind, FaultKind::Freeze | FaultKind::Nap | FaultKind::MachineStall)
    }

    /// How long after its end it may still cost a worker its run; `None` if it never may.
    fn reach(&self, limits: Limits) -> Option<Duration> {
        let reach = match self.kind {
            // A double may hear a call only after its caller is dead.
            FaultKind::Kill | FaultKind::Terminate => NOTICE,
            _ => limits.ack_wait,
        };
        self.costs_runs(limits).then_some(reach)
    }

    /// Whether the answer that its worker had read at `read` may have been lost with it.
    fn loses_what_was_read(&self, read: Moment, limits: Limits) -> bool {
        let (from, until) = match self.kind {
            FaultKind::Kill => {
                let stored = self.from.saturating_sub(STORED);
                (self.unheard_since.map_or(stored, |since| since.min(stored)), self.until + NOTICE)
            }
            FaultKind::Terminate => {
                ((self.from + limits.drain).saturating_sub(STORED_BEFORE_HANDING_BACK), self.until + NOTICE)
            }
            FaultKind::BrokerKill | FaultKind::BrokerOutage => {
                (self.from.saturating_sub(STORED), self.until + limits.ack_wait)
            }
            // Who wakes up, or is reached again, reads what has been waiting for it, and has lost its run.
            _ => (self.from.saturating_sub(STORED), self.until + STORED),
        };
        self.costs_runs(limits) && (from..=until).contains(&read)
    }
}

impl Run<'_> {
    /// The fault that explains why `last` had to be made again, as `call`; none of `spent`.
    pub(super) fn excuse(&self, last: &Call, call: &Call, spent: &[usize]) -> Option<usize> {
        let explains = |fault: &Fault| {
            let reach = fault.reach(self.limits);
            reach.is_some_and(|reach| fault.hit(last.worker) && fault.touches(last.from, call.from, reach))
                && last.read.is_none_or(|read| fault.loses_what_was_read(read, self.limits))
        };
        let mut faults = self.history.faults.iter().enumerate();
        let found = faults.find(|(number, fault)| !spent.contains(number) && explains(fault));
        found.map(|(number, _)| number)
    }

    /// Whether the call's end may be unknown to the run: its answer was not read, or was lost with its worker.
    pub(super) fn may_have_lost(&self, call: &Call) -> bool {
        let loses = |read| {
            let mut faults = self.history.faults.iter().filter(|fault| fault.hit(call.worker));
            faults.any(|fault| fault.loses_what_was_read(read, self.limits))
        };
        call.read.is_none_or(loses)
    }

    /// Whether a worker may have been lost between the two moments.
    pub(super) fn lost_within(&self, from: Moment, until: Moment) -> bool {
        let touches =
            |fault: &Fault| fault.reach(self.limits).is_some_and(|reach| fault.touches(from, until, reach));
        self.history.faults.iter().any(touches)
    }

    /// Whether the call may be that of a worker which was asleep and does not know yet what it missed.
    pub(super) fn is_of_a_sleeper(&self, call: &Call) -> bool {
        let mut faults = self.history.faults.iter().filter(|fault| fault.is_sleep());
        faults.any(|fault| fault.hit(call.worker) && fault.touches(call.from, call.from, self.awake_after()))
    }

    /// Whether a broker that was killed may have given the run away while its holder had a lease by its own clock: what
    /// that holder says at `at` is what it had stored, and what the next one would say.
    pub(super) fn lease_was_forgotten(&self, at: Moment) -> bool {
        let killed = |fault: &&Fault| matches!(fault.kind, FaultKind::BrokerKill | FaultKind::BrokerOutage);
        let ack_wait = self.limits.ack_wait;
        let mut faults = self.history.faults.iter().filter(killed);
        faults.any(|fault| fault.touches(at, at, ack_wait))
    }

    /// Two calls of a run may be open at once where a worker slept, until it finds out; and where a broker that was killed
    /// forgot how long a lease lasts, until its holder finds out.
    pub(super) fn overlap_is_excused(&self, earlier: &Call, later: &Call) -> bool {
        let over = earlier.until().min(later.until());
        let until = |fault: &Fault| match fault.kind {
            FaultKind::BrokerKill | FaultKind::BrokerOutage => fault.until + self.limits.ack_wait,
            _ => fault.until,
        };
        let faults = self.history.faults.iter().filter(|fault| match fault.kind {
            FaultKind::Freeze | FaultKind::Nap => fault.hit(earlier.worker) || fault.hit(later.worker),
            FaultKind::BrokerKill | FaultKind::BrokerOutage => fault.costs_runs(self.limits),
            FaultKind::MachineStall => true,
            _ => false,
        });
        let mut bounds = faults.map(|fault| (fault.from, until(fault) + self.awake_after()));
        bounds.any(|(from, until)| from <= later.from && over <= until)
    }

    /// The longest that a worker may take to find out that its run is another's.
    fn awake_after(&self) -> Duration {
        self.limits.beat() + NOTICE
    }
}
