//! How far runs are that were started together.

use std::collections::HashSet;
use std::fmt;

use crate::events::{Cost, RunCompleted, RunKey, RunStatus};
use crate::queue::feed::Event;

/// Counts of runs by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    size: Option<u64>,
    running: HashSet<RunKey>,
    passed: u64,
    failed: u64,
    errors: u64,
    cancelled: u64,
    cost: Cost,
}

impl Tally {
    /// Nothing has happened yet; `size` is the number of all runs, where it is known.
    pub(crate) fn of(size: Option<u64>) -> Self {
        Self { size, ..Self::default() }
    }

    /// Counts an event.
    pub(crate) fn note(&mut self, event: &Event) {
        let key = event.ids().key();
        match event {
            Event::Completed(outcome) => {
                self.running.remove(&key);
                self.count(outcome);
            }
            Event::Started(_) | Event::Message(_) => drop(self.running.insert(key)),
        }
    }

    fn count(&mut self, outcome: &RunCompleted) {
        *match outcome.status {
            RunStatus::Success => &mut self.passed,
            RunStatus::Failed => &mut self.failed,
            RunStatus::Error => &mut self.errors,
            RunStatus::Cancelled => &mut self.cancelled,
        } += 1;
        self.cost = self.cost.plus(outcome.usage_total.cost);
    }

    /// Runs that came to an outcome.
    pub(crate) fn done(&self) -> u64 {
        self.passed + self.failed + self.errors + self.cancelled
    }

    /// Whether every run came to its outcome; never, where nobody knows how many there are.
    pub(crate) fn is_over(&self) -> bool {
        self.size.is_some_and(|size| self.done() >= size)
    }

    /// Whether every outcome so far is a success.
    pub(crate) fn all_passed(&self) -> bool {
        self.done() == self.passed
    }

    /// Which outcome the last one was, such as `[3/12]`.
    pub(crate) fn position(&self) -> String {
        match self.size {
            Some(size) => format!("[{:>width$}/{size}]", self.done(), width = size.to_string().len()),
            None => format!("[{}]", self.done()),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(f, "{} of {size} done", self.done())?,
            None => write!(f, "{} done", self.done())?,
        }
        write!(f, " · {} passed", self.passed)?;
        for (count, what) in [
            (self.failed, "failed"),
            (self.errors, "errors"),
            (self.cancelled, "cancelled"),
            (self.running.len() as u64, "running"),
        ] {
            if count > 0 {
                write!(f, " · {count} {what}")?;
            }
        }
        if self.cost.is_zero() { Ok(()) } else { write!(f, " · {}", self.cost) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{message, outcome};
    use super::*;

    #[test]
    fn runs_are_counted_by_what_became_of_them() {
        let mut tally = Tally::of(Some(3));
        tally.note(&message("r1", "hello"));
        tally.note(&message("r2", "hello"));
        assert_eq!(tally.to_string(), "0 of 3 done · 0 passed · 2 running");
        for (run, status) in [("r1", "SUCCESS"), ("r2", "ERROR")] {
            tally.note(&Event::Completed(Box::new(outcome(run, status))));
        }
        assert_eq!(tally.to_string(), "2 of 3 done · 1 passed · 1 errors · 0.020000 USD");
        assert_eq!((tally.position().as_str(), tally.is_over(), tally.all_passed()), ("[2/3]", false, false));
        tally.note(&Event::Completed(Box::new(outcome("r3", "SUCCESS"))));
        assert!(tally.is_over());
    }

    #[test]
    fn runs_whose_number_nobody_knows_are_never_over() {
        let mut tally = Tally::of(None);
        tally.note(&Event::Completed(Box::new(outcome("r1", "SUCCESS"))));
        assert_eq!((tally.position().as_str(), tally.is_over(), tally.all_passed()), ("[1]", false, true));
    }
}
