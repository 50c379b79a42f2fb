//! Rate, errors and duration of the calls that runs make.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::execution::metering::{CallEnd, CallKind, CallMeter};

/// Upper bounds of a call's buckets in seconds: from a model that is played to the longest timeout that one may have.
pub(super) const DURATION_BOUNDS_SECONDS: [f64; 12] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

impl CallMeter for Metrics {
    fn called(&self, kind: CallKind, end: CallEnd, took: Duration) {
        let labels = [KeyValue::new("kind", kind_label(kind)), KeyValue::new("result", end_label(end))];
        self.0.call_duration.record(took.as_secs_f64(), &labels);
    }
}

fn kind_label(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Model => "model",
        CallKind::Target => "target",
    }
}

fn end_label(end: CallEnd) -> &'static str {
    match end {
        CallEnd::Answered => "answered",
        CallEnd::Failed => "failed",
        CallEnd::Dropped => "dropped",
    }
}
