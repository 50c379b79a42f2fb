//! What is taken from the queue, how much of it at once, and how requests get there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const CONSUMER_DURABLE: &str = "scenario-workers";
const CONSUMER_MAX_ACK_PENDING: i64 = 256;
const CONSUMER_ACK_WAIT_SECONDS: u64 = 30;
const CONSUMER_MAX_ATTEMPTS: u32 = 5;
const CONSUMER_PULL_EXPIRES_SECONDS: u64 = 10;
const WORKER_CONCURRENCY: usize = 64;
const WORKER_DRAIN_SECONDS: u64 = 25;
const REQUESTS_DEDUP_WINDOW_SECONDS: u64 = 120;
/// Heartbeats that fit in one `ack_wait`: two may fail before a run is lost.
const HEARTBEATS_PER_ACK_WAIT: u32 = 3;

/// The durable pull consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSettings {
    /// The consumer group.
    pub durable: String,
    /// Runs in flight over all workers of the group.
    pub max_ack_pending: i64,
    /// A silent worker's runs move on after this.
    pub ack_wait_seconds: u64,
    /// Lost executions of one run.
    pub max_attempts: u32,
    /// How long one pull stays open.
    pub pull_expires_seconds: u64,
}

/// This process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Runs in flight in this process.
    pub concurrency: usize,
    /// How long runs may go on after a request to stop.
    pub drain_seconds: u64,
}

/// What clients ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// How long the stream remembers a `Nats-Msg-Id`.
    pub dedup_window_seconds: u64,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            durable: CONSUMER_DURABLE.to_owned(),
            max_ack_pending: CONSUMER_MAX_ACK_PENDING,
            ack_wait_seconds: CONSUMER_ACK_WAIT_SECONDS,
            max_attempts: CONSUMER_MAX_ATTEMPTS,
            pull_expires_seconds: CONSUMER_PULL_EXPIRES_SECONDS,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { concurrency: WORKER_CONCURRENCY, drain_seconds: WORKER_DRAIN_SECONDS }
    }
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self { dedup_window_seconds: REQUESTS_DEDUP_WINDOW_SECONDS }
    }
}

impl ConsumerSettings {
    /// How long a delivery stays this worker's without a heartbeat.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait_seconds)
    }

    /// How often a run says that it is alive.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.ack_wait() / HEARTBEATS_PER_ACK_WAIT
    }

    /// How long one pull stays open.
    #[must_use]
    pub fn pull_expires(&self) -> Duration {
        Duration::from_secs(self.pull_expires_seconds)
    }
}

impl WorkerSettings {
    /// How long runs may go on after a request to stop.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}
