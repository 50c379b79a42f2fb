//! Ids of a run's trace.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use sha2::{Digest as _, Sha256};

use crate::events::{RunKey, RunRequest, TraceContextMode};

/// Keeps the digest apart from those that other parts of the program derive from the same ids.
const PURPOSE: &[u8] = b"scenario-worker/trace-id/1";

/// Gives every attempt of a run the same trace id and the same root, which is made first, so that a run that moves to
/// another worker stays one trace; every other span has a random id.
#[derive(Debug)]
pub(super) struct RunIds {
    trace_id: TraceId,
    root_id: SpanId,
    root_made: AtomicBool,
    random: RandomIdGenerator,
}

impl RunIds {
    pub(super) fn new(run: &RunKey) -> Self {
        let (trace_id, root_id) = derive(run);
        Self { trace_id, root_id, root_made: AtomicBool::new(false), random: RandomIdGenerator::default() }
    }
}

impl IdGenerator for RunIds {
    fn new_trace_id(&self) -> TraceId {
        self.trace_id
    }

    fn new_span_id(&self) -> SpanId {
        if self.root_made.swap(true, Ordering::Relaxed) { self.random.new_span_id() } else { self.root_id }
    }
}

/// The trace id of a run of `request`: the run's own, or the caller's where the run continues that trace.
#[must_use]
pub fn trace_id(request: &RunRequest) -> [u8; 16] {
    match &request.parent {
        Some(parent) if request.trace_context_mode == TraceContextMode::Continue => parent.trace_id,
        _ => derive(&request.key).0.to_bytes(),
    }
}

fn derive(run: &RunKey) -> (TraceId, SpanId) {
    let mut hash = Sha256::new_with_prefix(PURPOSE);
    for part in [run.project.as_str(), run.run.as_str()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let (mut trace, mut root) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&digest[..16]);
    root.copy_from_slice(&digest[16..24]);
    (TraceId::from_bytes(trace), SpanId::from_bytes(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ProjectId, RunId};

    fn of(project: &str, run: &str) -> (TraceId, SpanId) {
        derive(&RunKey { project: ProjectId::parse(project).unwrap(), run: RunId::parse(run).unwrap() })
    }

    #[test]
    fn a_run_has_one_trace_id_and_shares_it_with_no_other() {
        assert_eq!(of("acme", "r1"), of("acme", "r1"));
        assert_ne!(of("acme", "r1"), of("acme", "r2"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }
}
