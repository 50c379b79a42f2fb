//! What the process of a run counted of its spans, on its way to the worker's metrics.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use prometheus::proto::{Metric, MetricFamily};
use serde::{Deserialize, Serialize};

use super::{KIND, Metrics, REASON, SpanLoss};

/// The counters as they are rendered.
const EXPORTED: &str = "scenario_worker_spans_exported_total";
const SPOOLED: &str = "scenario_worker_spans_spooled_total";
const FAILURES: &str = "scenario_worker_export_failures_total";
const DROPPED: &str = "scenario_worker_spans_dropped_total";
/// Every kind of failed export.
const FAILURE_KINDS: [&str; 9] = [
    "status",
    "transport",
    "partial",
    "not_otlp",
    "deadline",
    "too_large",
    "worker_stops",
    "invalid_destination",
    "spool",
];
/// What stands for a label that nobody here uses.
const OTHER: &str = "other";

/// What became of runs' spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanTally {
    /// Spans that endpoints accepted.
    exported: u64,
    /// Spans that are kept to be sent later.
    spooled: u64,
    /// Failed exports by kind.
    failures: BTreeMap<String, u64>,
    /// Spans that reached no endpoint, by reason.
    dropped: BTreeMap<String, u64>,
}

impl Metrics {
    /// What became of the spans of this process's runs so far.
    #[must_use]
    pub fn span_tally(&self) -> SpanTally {
        let all = self.0.registry.gather();
        SpanTally {
            exported: by_label(&all, EXPORTED, "").into_values().sum(),
            spooled: by_label(&all, SPOOLED, "").into_values().sum(),
            failures: by_label(&all, FAILURES, KIND),
            dropped: by_label(&all, DROPPED, REASON),
        }
    }

    /// Counts what another process counted. A label that nobody here uses becomes `other`: their number has an end,
    /// whatever that process says.
    pub fn add_span_tally(&self, tally: &SpanTally) {
        self.spans_exported(tally.exported);
        self.spans_spooled(tally.spooled);
        for (kind, count) in &tally.failures {
            let kind = known(&FAILURE_KINDS, kind);
            self.0.export_failures.add(*count, &[KeyValue::new(KIND, kind)]);
        }
        for (reason, count) in &tally.dropped {
            let reason = known(&SpanLoss::ALL.map(SpanLoss::as_str), reason);
            self.0.spans_dropped.add(*count, &[KeyValue::new(REASON, reason)]);
        }
    }
}

fn known(labels: &[&'static str], label: &str) -> &'static str {
    labels.iter().copied().find(|known| *known == label).unwrap_or(OTHER)
}

/// The counts of the metric `name` above zero, by the value of its `label`.
fn by_label(all: &[MetricFamily], name: &str, label: &str) -> BTreeMap<String, u64> {
    let family = all.iter().find(|family| family.name() == name);
    let counted = family.into_iter().flat_map(MetricFamily::get_metric);
    counted
        .map(|metric| (value_of(metric, label), count_of(metric)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn value_of(metric: &Metric, label: &str) -> String {
    let pair = metric.get_label().iter().find(|pair| pair.name() == label);
    pair.map(|pair| pair.value().to_owned()).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
fn count_of(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_counts_another_adds_to_its_own() {
        let (child, worker) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        worker.spans_exported(1);
        child.spans_exported(3);
        child.export_failed("status");
        child.spans_dropped(SpanLoss::Rejected, 2);
        worker.add_span_tally(&child.span_tally());
        let sum = worker.span_tally();
        assert_eq!((sum.exported, sum.failures["status"], sum.dropped["rejected"]), (4, 1, 2));
    }

    #[test]
    fn labels_that_nobody_uses_are_one() {
        let metrics = Metrics::new().unwrap();
        let made_up = || (0..100).map(|number| (format!("made-up-{number}"), 1)).collect();
        metrics.add_span_tally(&SpanTally {
            exported: 0,
            spooled: 0,
            failures: made_up(),
            dropped: made_up(),
        });
        let sum = metrics.span_tally();
        assert_eq!((sum.failures.len(), sum.failures[OTHER], sum.dropped[OTHER]), (1, 100, 100));
    }
}
