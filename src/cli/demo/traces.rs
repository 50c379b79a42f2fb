//! The tenant's side of the demo: what its OTLP endpoint received, and whether that is what it should be.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;

use crate::cli::terminal::TreeSpan;
use crate::events::RunCompleted;
use crate::telemetry::receiver::{self, ReceivedExport, ReceivedSpan};

/// The received exports.
#[derive(Debug, Clone, Default)]
pub(super) struct Traces(Arc<Mutex<Vec<ReceivedExport>>>);

impl Traces {
    /// The endpoint.
    pub(super) fn router(&self) -> Router {
        let exports = Arc::clone(&self.0);
        receiver::router(move |export| exports.lock().unwrap_or_else(PoisonError::into_inner).push(export))
    }

    /// The spans of a run's trace.
    pub(super) fn of(&self, outcome: &RunCompleted) -> Vec<TreeSpan> {
        let trace_id = outcome.telemetry.trace_id.as_deref();
        self.spans().iter().filter(|span| Some(span.trace_id.as_str()) == trace_id).map(tree_span).collect()
    }

    /// What the receipts and the endpoint disagree on.
    pub(super) fn surprises(&self, outcomes: &[RunCompleted]) -> Vec<String> {
        let mut surprises: Vec<String> =
            outcomes.iter().filter_map(|outcome| self.mismatch(outcome)).collect();
        let known: BTreeSet<&str> =
            outcomes.iter().filter_map(|outcome| outcome.telemetry.trace_id.as_deref()).collect();
        let strangers = self.spans().iter().filter(|span| !known.contains(span.trace_id.as_str())).count();
        if strangers > 0 {
            surprises.push(format!("the tenant's endpoint received {strangers} spans that belong to no run"));
        }
        surprises
    }

    fn mismatch(&self, outcome: &RunCompleted) -> Option<String> {
        let (receipt, received) = (&outcome.telemetry, self.of(outcome).len() as u64);
        let is_whole = receipt.spans > 0 && receipt.exported == receipt.spans && received == receipt.spans;
        (!is_whole).then(|| {
            let (id, made, exported) = (&outcome.ids.scenario_id, receipt.spans, receipt.exported);
            let error = receipt.error.as_deref().unwrap_or("no error");
            format!(
                "the trace of {id}: {made} spans made, {exported} exported, {received} received ({error})"
            )
        })
    }

    fn spans(&self) -> Vec<ReceivedSpan> {
        let exports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exports.iter().flat_map(|export| export.spans.clone()).collect()
    }
}

fn tree_span(span: &ReceivedSpan) -> TreeSpan {
    TreeSpan {
        id: span.span_id.clone(),
        parent: span.parent_span_id.clone().unwrap_or_default(),
        name: span.name.clone(),
        start_nanos: span.start_unix_nanos,
        duration: Duration::from_nanos(span.end_unix_nanos.saturating_sub(span.start_unix_nanos)),
        tokens: tokens(span),
        error: (span.status == "error").then(|| span.status_message.clone()),
    }
}

/// What the span says of tokens, by the conventions of OpenTelemetry for generative AI.
fn tokens(span: &ReceivedSpan) -> Option<(u64, u64)> {
    let count = |direction: &str| {
        span.attributes.get(&format!("gen_ai.usage.{direction}_tokens")).and_then(serde_json::Value::as_u64)
    };
    Some((count("input")?, count("output")?))
}
