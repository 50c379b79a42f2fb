//! What the worker counts. No id is ever a label: runs and tenants are unbounded.

mod calls;
mod ingress;
mod observed;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter, MeterProvider as _, UpDownCounter};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

pub use self::observed::ConsumerMetric;
pub use self::tally::SpanTally;
use crate::events::{DeadLetterCode, RunStatus};

/// Who counts, as metrics name it.
const METER: &str = "scenario-worker";

/// Upper bounds of the run duration's buckets in seconds: from a smoke test to the longest run that is allowed.
const DURATION_BOUNDS_SECONDS: [f64; 13] =
    [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0];

/// The label of failed exports: what failed.
const KIND: &str = "kind";
/// The label of dropped spans: why they were.
const REASON: &str = "reason";

/// Why spans were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanLoss {
    /// The run's buffer was full.
    BufferFull,
    /// The endpoint took the request but not these spans.
    Rejected,
    /// The endpoint did not take them before the deadline.
    Undelivered,
    /// The trace was dropped before it was finished.
    Unfinished,
    /// They were kept for later and became too old.
    Expired,
    /// The target sent them with the run's trace id, and they belong to no call of the run.
    Unrelated,
}

impl SpanLoss {
    const ALL: [Self; 6] = [
        Self::BufferFull,
        Self::Rejected,
        Self::Undelivered,
        Self::Unfinished,
        Self::Expired,
        Self::Unrelated,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Rejected => "rejected",
            Self::Undelivered => "undelivered",
            Self::Unfinished => "unfinished",
            Self::Expired => "expired",
            Self::Unrelated => "unrelated",
        }
    }
}

/// What became of a post to a platform that is told of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkResult {
    /// It was taken.
    Delivered,
    /// It was not, and is tried again.
    Retried,
    /// It was refused for good.
    Refused,
    /// It was given up because it had become too old.
    Expired,
}

impl SinkResult {
    const ALL: [Self; 4] = [Self::Delivered, Self::Retried, Self::Refused, Self::Expired];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// What became of a run that was to be written down in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryResult {
    /// It was.
    Stored,
    /// It was there already.
    Known,
    /// The database did not answer, and it is tried again.
    Retried,
    /// It cannot be written down as it is, and is tried again much later.
    Refused,
}

impl HistoryResult {
    const ALL: [Self; 4] = [Self::Stored, Self::Known, Self::Retried, Self::Refused];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Known => "known",
            Self::Retried => "retried",
            Self::Refused => "refused",
        }
    }
}

/// What limits of one kind did to calls so far.
#[derive(Debug, Clone, Copy)]
pub struct LimitsMetric {
    /// The kind of limit, from a closed set.
    pub kind: &'static str,
    /// Calls that waited.
    pub waits: u64,
    /// How long they waited in all.
    pub waited: Duration,
    /// Calls that were refused as too many.
    pub refusals: u64,
}

/// Metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the metrics reader for Prometheus cannot be built")]
pub struct MetricsError(#[from] OTelSdkError);

/// The worker's metrics. Clones share their counts.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    registry: Registry,
    provider: SdkMeterProvider,
    runs_in_flight: UpDownCounter<i64>,
    run_duration: Histogram<f64>,
    call_duration: Histogram<f64>,
    outcomes: Counter<u64>,
    deliveries: Counter<u64>,
    redeliveries: Counter<u64>,
    lease_losses: Counter<u64>,
    unsettled_deliveries: Counter<u64>,
    outcome_conflicts: Counter<u64>,
    invalid_trace_contexts: Counter<u64>,
    export_failures: Counter<u64>,
    spans_exported: Counter<u64>,
    spans_spooled: Counter<u64>,
    spans_dropped: Counter<u64>,
    spans_received: Counter<u64>,
    spans_refused: Counter<u64>,
    receiver_requests_refused: Counter<u64>,
    sink_posts: Counter<u64>,
    history_writes: Counter<u64>,
}

/// Counts one run as in flight until it is dropped.
#[derive(Debug)]
#[must_use = "the run counts as in flight for as long as this lives"]
pub struct RunInFlight(Metrics);

impl Drop for RunInFlight {
    fn drop(&mut self) {
        self.0.0.runs_in_flight.add(-1, &[]);
    }
}

impl Metrics {
    /// Metrics that are only rendered, for processes without an OTLP endpoint.
    ///
    /// # Errors
    /// [`MetricsError`] if the reader cannot be built.
    pub fn new() -> Result<Self, MetricsError> {
        Self::with_provider(SdkMeterProvider::builder())
    }

    /// Metrics that go to the readers of `provider` too.
    pub(super) fn with_provider(provider: MeterProviderBuilder) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let metrics = Self(Arc::new(Instruments::new(registry, provider.with_reader(reader).build())));
        metrics.show_zeros();
        metrics.show_version();
        Ok(metrics)
    }

    /// A run was taken up; it counts as in flight for as long as the guard lives.
    pub fn run_in_flight(&self) -> RunInFlight {
        self.0.runs_in_flight.add(1, &[]);
        RunInFlight(self.clone())
    }

    /// A run came to an outcome after `duration`.
    pub fn outcome(&self, status: RunStatus, duration: Duration) {
        let label = [KeyValue::new("status", status_label(status))];
        self.0.outcomes.add(1, &label);
        self.0.run_duration.record(duration.as_secs_f64(), &label);
    }

    /// A request was delivered; `redelivered` if not for the first time.
    pub fn delivery(&self, redelivered: bool) {
        self.0.deliveries.add(1, &[]);
        self.0.redeliveries.add(u64::from(redelivered), &[]);
    }

    /// A run was lost to another worker.
    pub fn lease_lost(&self) {
        self.0.lease_losses.add(1, &[]);
    }

    /// A delivery could not be acknowledged or handed back.
    pub fn unsettled_delivery(&self) {
        self.0.unsettled_deliveries.add(1, &[]);
    }

    /// Somebody else's outcome was there first.
    pub fn outcome_conflict(&self) {
        self.0.outcome_conflicts.add(1, &[]);
    }

    /// A request's `traceparent` was ignored because it breaks the specification.
    pub fn invalid_trace_context(&self) {
        self.0.invalid_trace_contexts.add(1, &[]);
    }

    /// An export of a run's spans failed, for a kind of reason from a closed set.
    pub fn export_failed(&self, kind: &'static str) {
        self.0.export_failures.add(1, &[KeyValue::new(KIND, kind)]);
    }

    /// An endpoint accepted this many spans of a run.
    pub fn spans_exported(&self, count: u64) {
        self.0.spans_exported.add(count, &[]);
    }

    /// This many spans of a run are kept to be sent later.
    pub fn spans_spooled(&self, count: u64) {
        self.0.spans_spooled.add(count, &[]);
    }

    /// This many spans of a run reached no endpoint.
    pub fn spans_dropped(&self, reason: SpanLoss, count: u64) {
        self.0.spans_dropped.add(count, &[KeyValue::new(REASON, reason.as_str())]);
    }

    /// A platform that is told of runs was told something.
    pub fn sink_post(&self, result: SinkResult) {
        self.count_sink_posts(result, 1);
    }

    fn count_sink_posts(&self, result: SinkResult, count: u64) {
        self.0.sink_posts.add(count, &[KeyValue::new("result", result.as_str())]);
    }

    /// This many runs were to be written down in the history.
    pub fn history_writes(&self, result: HistoryResult, count: u64) {
        self.0.history_writes.add(count, &[KeyValue::new("result", result.as_str())]);
    }

    /// From now on, `count` is asked how often the broker denied something.
    pub fn observe_permission_denials(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        // The instrument lives in the provider; nothing has to be kept here.
        self.0
            .provider
            .meter(METER)
            .u64_observable_counter("scenario_worker_permission_denials")
            .with_description("Publishes and subscriptions that the broker denied this user")
            .with_callback(move |observer| observer.observe(count(), &[]))
            .build();
    }

    /// From now on, `counts` is asked how many messages were given up.
    pub fn observe_dead_letters(
        &self,
        counts: impl Fn() -> BTreeMap<DeadLetterCode, u64> + Send + Sync + 'static,
    ) {
        self.0
            .provider
            .meter(METER)
            .u64_observable_counter("scenario_worker_dead_letters")
            .with_description("Messages that were given up, by code")
            .with_callback(move |observer| {
                let counts = counts();
                for code in DeadLetterCode::ALL {
                    let count = counts.get(&code).copied().unwrap_or_default();
                    observer.observe(count, &[KeyValue::new("code", code.as_str())]);
                }
            })
            .build();
    }

    /// From now on, `counts` is asked what limits of calls did.
    pub fn observe_limits(&self, counts: impl Fn() -> Vec<LimitsMetric> + Clone + Send + Sync + 'static) {
        let meter = self.0.provider.meter(METER);
        let (waits, waited) = (counts.clone(), counts.clone());
        let waits = move || waits().into_iter().map(|all| (all.kind, all.waits)).collect();
        let refusals = move || counts().into_iter().map(|all| (all.kind, all.refusals)).collect();
        observe(&meter, "scenario_worker_limit_waits", "Calls that waited for a limit, by its kind", waits);
        let about = "Calls that were refused as too many (HTTP 429), by the kind of their limit";
        observe(&meter, "scenario_worker_limit_refusals", about, refusals);
        meter
            .f64_observable_counter("scenario_worker_limit_wait")
            .with_unit("s")
            .with_description("Time that calls waited for a limit, by its kind")
            .with_callback(move |observer| {
                for all in waited() {
                    observer.observe(all.waited.as_secs_f64(), &[KeyValue::new("kind", all.kind)]);
                }
            })
            .build();
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text) {
            tracing::warn!(%error, "some metrics could not be rendered");
        }
        text
    }

    pub(super) fn provider(&self) -> SdkMeterProvider {
        self.0.provider.clone()
    }

    /// A counter that appears with its first event has no rate for it, so every known series begins at 0.
    #[expect(clippy::too_many_lines, reason = "one line for each metric, as a table")]
    fn show_zeros(&self) {
        let all = &self.0;
        all.runs_in_flight.add(0, &[]);
        let plain = [
            &all.deliveries,
            &all.redeliveries,
            &all.lease_losses,
            &all.unsettled_deliveries,
            &all.outcome_conflicts,
            &all.invalid_trace_contexts,
            &all.spans_exported,
            &all.spans_spooled,
            &all.spans_received,
        ];
        for counter in plain {
            counter.add(0, &[]);
        }
        for status in [RunStatus::Success, RunStatus::Failed, RunStatus::Error, RunStatus::Cancelled] {
            all.outcomes.add(0, &[KeyValue::new("status", status_label(status))]);
        }
        for loss in SpanLoss::ALL {
            self.spans_dropped(loss, 0);
        }
        for result in SinkResult::ALL {
            self.count_sink_posts(result, 0);
        }
        for result in HistoryResult::ALL {
            self.history_writes(result, 0);
        }
    }
}

impl Instruments {
    #[expect(clippy::too_many_lines, reason = "one line for each metric, as a table")]
    fn new(registry: Registry, provider: SdkMeterProvider) -> Self {
        let meter = provider.meter(METER);
        let counter = |name, about| counter(&meter, name, about);
        Self {
            runs_in_flight: meter
                .i64_up_down_counter("scenario_worker_runs_in_flight")
                .with_description("Runs that this worker is executing")
                .build(),
            run_duration: meter
                .f64_histogram("scenario_worker_run_duration")
                .with_unit("s")
                .with_description("Time from a run's beginning to its outcome")
                .with_boundaries(DURATION_BOUNDS_SECONDS.to_vec())
                .build(),
            call_duration: meter
                .f64_histogram("scenario_worker_call_duration")
                .with_unit("s")
                .with_description(
                    "Time of runs' calls to models and targets, retries and waits for limits included, by kind and result",
                )
                .with_boundaries(calls::DURATION_BOUNDS_SECONDS.to_vec())
                .build(),
            outcomes: counter("scenario_worker_outcomes", "Outcomes by status"),
            deliveries: counter("scenario_worker_deliveries", "Requests that were delivered"),
            redeliveries: counter("scenario_worker_redeliveries", "Requests delivered again"),
            lease_losses: counter("scenario_worker_lease_losses", "Runs lost to another worker"),
            unsettled_deliveries: counter(
                "scenario_worker_unsettled_deliveries",
                "Deliveries that could not be acknowledged or handed back",
            ),
            outcome_conflicts: counter(
                "scenario_worker_outcome_conflicts",
                "Outcomes refused because there was one already",
            ),
            invalid_trace_contexts: counter(
                "scenario_worker_invalid_trace_contexts",
                "Requests whose traceparent was ignored",
            ),
            export_failures: counter(
                "scenario_worker_export_failures",
                "Failed exports of runs' spans, by kind",
            ),
            spans_exported: counter(
                "scenario_worker_spans_exported",
                "Spans of runs that endpoints accepted",
            ),
            spans_spooled: counter(
                "scenario_worker_spans_spooled",
                "Spans of runs that are kept to be sent later",
            ),
            spans_dropped: counter(
                "scenario_worker_spans_dropped",
                "Spans of runs that reached no endpoint, by reason",
            ),
            spans_received: counter(
                "scenario_worker_spans_received",
                "Spans of targets that this worker received and a run took",
            ),
            spans_refused: counter(
                "scenario_worker_spans_refused",
                "Spans of targets that this worker received and no run took, by reason",
            ),
            receiver_requests_refused: counter(
                "scenario_worker_receiver_requests_refused",
                "Requests to the receiver of spans that were refused as a whole, by reason",
            ),
            sink_posts: counter(
                "scenario_worker_sink_posts",
                "Events of runs that LangWatch was told, by what became of that",
            ),
            history_writes: counter(
                "scenario_worker_history_writes",
                "Runs that were to be written down in the history, by what became of that",
            ),
            registry,
            provider,
        }
    }
}

fn counter(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(about).build()
}

fn observe(
    meter: &Meter,
    name: &'static str,
    about: &'static str,
    counts: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
) {
    let each = move |observer: &dyn AsyncInstrument<u64>| {
        for (kind, count) in counts() {
            observer.observe(count, &[KeyValue::new("kind", kind)]);
        }
    };
    meter.u64_observable_counter(name).with_description(about).with_callback(each).build();
}

fn status_label(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "success",
        RunStatus::Failed => "failed",
        RunStatus::Error => "error",
        RunStatus::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(metrics: &Metrics, line: &str) {
        let text = metrics.render();
        assert!(text.lines().any(|l| l == line), "`{line}` is missing in:\n{text}");
    }

    #[test]
    fn a_metric_is_there_before_its_first_event() {
        let metrics = Metrics::new().unwrap();
        shows(&metrics, "scenario_worker_runs_in_flight 0");
        shows(&metrics, "scenario_worker_deliveries_total 0");
        shows(&metrics, "scenario_worker_outcomes_total{status=\"error\"} 0");
        shows(&metrics, "scenario_worker_spans_dropped_total{reason=\"buffer_full\"} 0");
    }

    #[test]
    fn what_happens_is_counted_by_kind() {
        let metrics = Metrics::new().unwrap();
        metrics.delivery(false);
        metrics.clone().delivery(true);
        metrics.outcome(RunStatus::Success, Duration::from_secs(7));
        metrics.observe_dead_letters(|| BTreeMap::from([(DeadLetterCode::InvalidJson, 1)]));
        metrics.export_failed("status");
        metrics.spans_exported(3);
        shows(&metrics, "scenario_worker_deliveries_total 2");
        shows(&metrics, "scenario_worker_redeliveries_total 1");
        shows(&metrics, "scenario_worker_outcomes_total{status=\"success\"} 1");
        shows(&metrics, "scenario_worker_run_duration_seconds_bucket{status=\"success\",le=\"5\"} 0");
        shows(&metrics, "scenario_worker_run_duration_seconds_bucket{status=\"success\",le=\"10\"} 1");
        shows(&metrics, "scenario_worker_dead_letters_total{code=\"invalid_json\"} 1");
        shows(&metrics, "scenario_worker_dead_letters_total{code=\"out_of_bounds\"} 0");
        shows(&metrics, "scenario_worker_export_failures_total{kind=\"status\"} 1");
        shows(&metrics, "scenario_worker_spans_exported_total 3");
    }

    #[test]
    fn what_limits_do_is_counted_by_kind() {
        let (metrics, waited) = (Metrics::new().unwrap(), Duration::from_millis(1500));
        metrics
            .observe_limits(move || vec![LimitsMetric { kind: "provider", waits: 2, waited, refusals: 1 }]);
        shows(&metrics, "scenario_worker_limit_waits_total{kind=\"provider\"} 2");
        shows(&metrics, "scenario_worker_limit_wait_seconds_total{kind=\"provider\"} 1.5");
        shows(&metrics, "scenario_worker_limit_refusals_total{kind=\"provider\"} 1");
    }

    #[test]
    fn a_run_is_in_flight_until_its_guard_goes() {
        let metrics = Metrics::new().unwrap();
        let (one, two) = (metrics.run_in_flight(), metrics.run_in_flight());
        shows(&metrics, "scenario_worker_runs_in_flight 2");
        drop(one);
        drop(two);
        shows(&metrics, "scenario_worker_runs_in_flight 0");
    }
}
