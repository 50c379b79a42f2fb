//! What is asked for when metrics are read, because somebody else knows it.

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

use super::{METER, Metrics};

/// What the server says of the consumer of the requests. Every worker of a group says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerMetric {
    /// Requests that were not delivered yet.
    pub pending: u64,
    /// Requests that were delivered and are not settled.
    pub ack_pending: u64,
    /// Those of them that were delivered before.
    pub redelivered: u64,
    /// Pulls that wait for requests.
    pub waiting_pulls: u64,
}

/// One value of [`ConsumerMetric`] as a gauge.
type Reading = (&'static str, &'static str, fn(&ConsumerMetric) -> u64);

/// What each gauge of the consumer is called, means and reads.
const CONSUMER_GAUGES: [Reading; 4] = [
    (
        "scenario_worker_consumer_pending",
        "Requests that wait in the stream for the whole group; absent while the broker does not say",
        |consumer| consumer.pending,
    ),
    (
        "scenario_worker_consumer_ack_pending",
        "Requests in flight over the whole group; absent while the broker does not say",
        |consumer| consumer.ack_pending,
    ),
    (
        "scenario_worker_consumer_redelivered",
        "Requests in flight over the whole group that were delivered before; absent while the broker does not say",
        |consumer| consumer.redelivered,
    ),
    (
        "scenario_worker_consumer_waiting_pulls",
        "Pulls of the whole group that wait for requests; absent while the broker does not say",
        |consumer| consumer.waiting_pulls,
    ),
];

impl Metrics {
    /// From now on, `standing` is asked what the server last said of the consumer; `None` is nothing that can be relied on.
    pub fn observe_consumer(
        &self,
        standing: impl Fn() -> Option<ConsumerMetric> + Clone + Send + Sync + 'static,
    ) {
        for (name, about, read) in CONSUMER_GAUGES {
            let standing = standing.clone();
            self.gauge(name, about, move || standing().as_ref().map(read));
        }
    }

    /// From now on, `busy` is asked how many of `all` permits are with a delivery.
    pub fn observe_permits(&self, all: usize, busy: impl Fn() -> usize + Send + Sync + 'static) {
        let about = "Deliveries that this worker takes at one time";
        self.gauge("scenario_worker_permits", about, move || Some(all as u64));
        let about = "Permits that are with a delivery, from its arrival to its settlement";
        self.gauge("scenario_worker_permits_busy", about, move || Some(busy() as u64));
    }

    /// From now on, `is_ready` is asked whether the worker takes work.
    pub fn observe_readiness(&self, is_ready: impl Fn() -> bool + Send + Sync + 'static) {
        let about = "1 while the worker is ready to take requests, 0 while something is in the way";
        self.gauge("scenario_worker_ready", about, move || Some(u64::from(is_ready())));
    }

    /// From now on, `count` is asked how many heartbeats the broker did not confirm.
    pub fn observe_lease_misses(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        self.0
            .provider
            .meter(METER)
            .u64_observable_counter("scenario_worker_lease_misses")
            .with_description("Heartbeats of deliveries that the broker did not confirm")
            .with_callback(move |observer| observer.observe(count(), &[]))
            .build();
    }

    /// Which version this is, as the label of a constant.
    pub(super) fn show_version(&self) {
        let version = [KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
        self.0
            .provider
            .meter(METER)
            .u64_observable_gauge("scenario_worker_build_info")
            .with_description("Always 1; the label says which version runs")
            .with_callback(move |observer| observer.observe(1, &version))
            .build();
    }

    fn gauge(
        &self,
        name: &'static str,
        about: &'static str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        // The instrument lives in the provider; nothing has to be kept here.
        self.0
            .provider
            .meter(METER)
            .u64_observable_gauge(name)
            .with_description(about)
            .with_callback(move |observer| {
                if let Some(value) = read() {
                    observer.observe(value, &[]);
                }
            })
            .build();
    }
}
