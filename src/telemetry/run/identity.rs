//! Ids of a run's trace.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use sha2::{Digest as _, Sha256};

use crate::events::RunKey;

/// Keeps the digest apart from those that other parts of the program derive from the same ids.
const PURPOSE: &[u8] = b"scenario-worker/trace-id/1";

/// Gives every attempt of a run the same trace id, so that a run that moves to another worker stays one trace, and
/// every span a random id.
#[derive(Debug)]
pub(super) struct RunIds {
    trace_id: TraceId,
    random: RandomIdGenerator,
}

impl RunIds {
    pub(super) fn new(run: &RunKey) -> Self {
        Self { trace_id: trace_id(run), random: RandomIdGenerator::default() }
    }
}

impl IdGenerator for RunIds {
    fn new_trace_id(&self) -> TraceId {
        self.trace_id
    }

    fn new_span_id(&self) -> SpanId {
        self.random.new_span_id()
    }
}

fn trace_id(run: &RunKey) -> TraceId {
    let mut hash = Sha256::new_with_prefix(PURPOSE);
    for part in [run.project.as_str(), run.run.as_str()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TraceId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ProjectId, RunId};

    fn of(project: &str, run: &str) -> TraceId {
        trace_id(&RunKey { project: ProjectId::parse(project).unwrap(), run: RunId::parse(run).unwrap() })
    }

    #[test]
    fn a_run_has_one_trace_id_and_shares_it_with_no_other() {
        assert_eq!(of("acme", "r1"), of("acme", "r1"));
        assert_ne!(of("acme", "r1"), of("acme", "r2"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }
}
