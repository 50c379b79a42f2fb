//! Idempotency keys of runs that are scheduled together: the same command with the same key asks for the same runs.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::cells::Cell;
use crate::cli::arguments::ScheduleOptions;
use crate::events::{BatchRunId, RunId};

/// Bytes of a digest that a key keeps: 128 bits, as 32 hexadecimal digits.
const DIGEST_BYTES: usize = 16;

/// The keys of one command.
#[derive(Debug)]
pub(super) struct Keys {
    /// What all of them begin with.
    pub(super) base: String,
    /// Whether somebody chose it.
    is_given: bool,
    is_alone: bool,
}

impl Keys {
    /// The keys of a command for `runs` runs. Several get a key even if none is given, so that scheduling can go on where
    /// it was broken off.
    pub(super) fn new(options: &ScheduleOptions, is_alone: bool) -> Self {
        let base = options.key.clone().unwrap_or_else(|| Uuid::new_v4().simple().to_string());
        Self { base, is_given: options.key.is_some(), is_alone }
    }

    /// The batch of several runs that are in none otherwise: the same for the same key.
    pub(super) fn batch(&self, options: &ScheduleOptions) -> Option<BatchRunId> {
        let derived = || BatchRunId::derive(&RunId::derive(&options.project, &self.base));
        options.batch.clone().or_else(|| (!self.is_alone).then(derived))
    }

    /// The key of a cell's run, by its number from 1. The first run without a matrix has the key as it was given. `None`
    /// where the scheduler is to choose.
    pub(super) fn of(&self, cell: &Cell, number: u32) -> Option<String> {
        if self.is_alone && !self.is_given {
            return None;
        }
        let cell = if cell.label.is_empty() { String::new() } else { format!("@{}", digest(cell)) };
        let number = if number == 1 { String::new() } else { format!("#{number}") };
        Some(format!("{}{cell}{number}", self.base))
    }
}

/// Axes are in the order of their names, so that the order of the command line does not matter.
fn digest(cell: &Cell) -> String {
    let mut hash = Sha256::new();
    for part in cell.label.iter().flat_map(|(axis, value)| [axis, value]) {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..DIGEST_BYTES])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::super::cells::cells;
    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn keys(flags: &[&str]) -> Vec<Option<String>> {
        let common =
            ["scenario-worker", "schedule", "--project", "acme", "--scenario", "s", "--target", "http:t"];
        let arguments = Arguments::try_parse_from(common.iter().chain(flags)).unwrap();
        let Command::Schedule(options) = arguments.command else { panic!("it is `schedule`") };
        let made = cells(&options).unwrap();
        let keys = Keys::new(&options, made.len() == 1 && options.repeat == 1);
        made.iter().flat_map(|cell| (1..=options.repeat).map(|number| keys.of(cell, number))).collect()
    }

    #[test]
    fn one_run_has_the_key_that_was_given_or_none() {
        assert_eq!(keys(&["--key", "k"]), [Some("k".to_owned())]);
        assert_eq!(keys(&[]), [None]);
        assert_eq!(keys(&["--key", "k", "--repeat", "2"]), [Some("k".to_owned()), Some("k#2".to_owned())]);
    }

    #[test]
    fn a_matrix_has_the_same_keys_in_any_order_and_every_run_its_own() {
        let one = keys(&["--key", "k", "--repeat", "2", "--matrix", "a=1,2", "--matrix", "b=x,y"]);
        let other = keys(&["--key", "k", "--repeat", "2", "--matrix", "b=y,x", "--matrix", "a=2,1"]);
        let (one, other): (BTreeSet<_>, BTreeSet<_>) =
            (one.into_iter().collect(), other.into_iter().collect());
        assert_eq!((one.len(), &one), (8, &other));
        let shifted = keys(&["--key", "k", "--matrix", "a=1", "--matrix", "b=2"]);
        assert_ne!(shifted, keys(&["--key", "k", "--matrix", "a=2", "--matrix", "b=1"]));
    }
}
