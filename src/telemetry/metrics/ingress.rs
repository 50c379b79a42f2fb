//! What the receiver of targets' spans counts. The reasons come from closed sets.

use opentelemetry::KeyValue;

use super::{Metrics, REASON};

impl Metrics {
    /// A run took this many spans of its target.
    pub fn spans_received(&self, count: u64) {
        self.0.spans_received.add(count, &[]);
    }

    /// No run took this many spans of a target.
    pub fn spans_refused(&self, reason: &'static str, count: u64) {
        self.0.spans_refused.add(count, &[KeyValue::new(REASON, reason)]);
    }

    /// A request with spans of a target was refused as a whole.
    pub fn receiver_request_refused(&self, reason: &'static str) {
        self.0.receiver_requests_refused.add(1, &[KeyValue::new(REASON, reason)]);
    }

    /// Lets every series of a receiver begin at 0: why spans and why requests may be refused.
    pub fn show_ingress(
        &self,
        spans: impl IntoIterator<Item = &'static str>,
        requests: impl IntoIterator<Item = &'static str>,
    ) {
        spans.into_iter().for_each(|reason| self.spans_refused(reason, 0));
        for reason in requests {
            self.0.receiver_requests_refused.add(0, &[KeyValue::new(REASON, reason)]);
        }
    }
}
