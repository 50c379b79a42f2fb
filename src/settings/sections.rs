//! The settings by section, each number beside its name.

use serde::{Deserialize, Serialize};

use super::{
    CassetteSettings, ConsumerSettings, EgressSettings, EventSettings, HistorySettings, HttpSettings,
    LogSettings, NatsSettings, RequestSettings, RunSettings, StoreSettings, TelemetrySettings,
    WorkerSettings,
};

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The broker.
    pub nats: NatsSettings,
    /// The durable pull consumer.
    pub consumer: ConsumerSettings,
    /// This process.
    pub worker: WorkerSettings,
    /// Defaults of runs.
    pub run: RunSettings,
    /// What runs report.
    pub events: EventSettings,
    /// Cassettes.
    pub cassettes: CassetteSettings,
    /// What clients ask for.
    pub requests: RequestSettings,
    /// Where definitions are kept.
    pub store: StoreSettings,
    /// Runs that are over, in the store.
    pub history: HistorySettings,
    /// What runs may reach.
    pub egress: EgressSettings,
    /// Where telemetry goes.
    pub telemetry: TelemetrySettings,
    /// The worker's log.
    pub log: LogSettings,
    /// The health and metrics server.
    pub http: HttpSettings,
}
