//! What must not be, each counted by itself, with every offender by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::evidence::Evidence;
use super::known::{Known, Mark};
use super::{requests, texts, traces};

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    /// Spans of a run in a request with another tenant's key.
    OtherKey,
    /// Spans of a run at another tenant's endpoint.
    OtherDoor,
    /// Two runs in one request.
    Mixed,
    /// A span at a tenant's endpoint that is of no run: the worker's or a library's.
    Stranger,
    /// A span or a call in a trace that is not its run's.
    WrongTrace,
    /// A run in the worker's own telemetry: its spans, its trace, what was said.
    RunAtWorker,
    /// The worker's trace anywhere but in its own telemetry.
    WorkersTrace,
    /// A credential in a request or an event where it does not belong.
    Secret,
    /// Anything where nothing may arrive.
    Trap,
    /// A variable of the environment in what tenants get.
    Variable,
    /// A trace that an agent claimed.
    Forged,
    /// Something of one run in a request or an event of another.
    OtherRun,
    /// Trace headers for somebody who gets none, or not the right ones.
    TraceHeaders,
    /// A credential in the log.
    SecretInLog,
    /// Something of a run in a line of the log that is not about it.
    RunInLog,
    /// Spans that are not where the receipt says.
    Lost,
    /// A run without a root, or with two.
    Roots,
    /// A span whose parent nobody has.
    Dangling,
}

impl Counter {
    pub(super) const ALL: [Self; 18] = [
        Self::OtherKey,
        Self::OtherDoor,
        Self::Mixed,
        Self::Stranger,
        Self::WrongTrace,
        Self::RunAtWorker,
        Self::WorkersTrace,
        Self::Secret,
        Self::Trap,
        Self::Variable,
        Self::Forged,
        Self::OtherRun,
        Self::TraceHeaders,
        Self::SecretInLog,
        Self::RunInLog,
        Self::Lost,
        Self::Roots,
        Self::Dangling,
    ];

    /// What a mark is that stands where it must not.
    fn of(mark: &Mark) -> Self {
        match mark {
            Mark::Key(..) => Self::Secret,
            Mark::Id(_) | Mark::Words(_) | Mark::Trace(_) => Self::OtherRun,
            Mark::WorkersTrace => Self::WorkersTrace,
            Mark::Variable => Self::Variable,
            Mark::Forged => Self::Forged,
        }
    }
}

/// The most offenders of one counter that are shown.
const MOST_SHOWN: usize = 5;
/// The most characters of one that are shown.
const MOST_CHARS: usize = 600;

/// The offenders by counter. A counter without any is not there.
#[derive(Debug, Default)]
pub(super) struct Leaks(BTreeMap<Counter, Vec<String>>);

impl Leaks {
    /// Everything that is in `evidence` and must not be.
    pub(super) fn in_(evidence: &Evidence) -> Self {
        let (known, mut leaks) = (Known::new(evidence), Self::default());
        requests::look(&known, &mut leaks);
        texts::look(&known, &mut leaks);
        traces::look(&known, &mut leaks);
        leaks
    }

    pub(super) fn add(&mut self, counter: Counter, offender: impl fmt::Display) {
        self.0.entry(counter).or_default().push(offender.to_string());
    }

    /// Every mark in `text` that is not `allowed`.
    pub(super) fn judge(
        &mut self,
        known: &Known<'_>,
        place: &str,
        text: &str,
        allowed: impl Fn(&Mark) -> bool,
    ) {
        for mark in known.marks(text).into_iter().filter(|mark| !allowed(mark)) {
            self.add(Counter::of(&mark), format_args!("{mark:?} in {place}: {text}"));
        }
    }

    pub(super) fn counters(&self) -> BTreeSet<Counter> {
        self.0.keys().copied().collect()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (counter, offenders) in &self.0 {
            writeln!(f, "{counter:?}: {}", offenders.len())?;
            for offender in offenders.iter().take(MOST_SHOWN) {
                writeln!(f, "    {}", offender.chars().take(MOST_CHARS).collect::<String>().escape_debug())?;
            }
        }
        Ok(())
    }
}
