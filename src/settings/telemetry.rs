//! Spans and metrics: of runs, of their agents, and of the worker itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SecretSource;
use crate::definitions::{ContentCapture, Secret};
use crate::events::BaggageKey;

const TELEMETRY_RUN_DEADLINE_SECONDS: u64 = 20;
const TELEMETRY_RECEIVER_SETTLE_SECONDS: u64 = 10;
const TELEMETRY_SPOOL_RETENTION_SECONDS: u64 = 86_400;
const TELEMETRY_SPOOL_MAX_BYTES: u64 = 1024 * 1024 * 1024;
const TELEMETRY_SPOOL_RETRY_SECONDS: u64 = 5;
const TELEMETRY_SINK_TIMEOUT_SECONDS: u64 = 10;
const TELEMETRY_SINK_RETRY_SECONDS: u64 = 2;
const TELEMETRY_SINK_RETENTION_SECONDS: u64 = 86_400;
/// Requests that a worker may wait for while it has the right to tell of a run: one that it begins last of all, and room.
const TIMEOUTS_PER_HOLD: u32 = 4;

/// Where telemetry goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The worker's own.
    pub worker: WorkerTelemetrySettings,
    /// The runs'.
    pub run: RunTelemetrySettings,
    /// Spans of runs that their endpoints have not taken yet.
    pub spool: SpoolSettings,
    /// Spans that the targets of runs send themselves.
    pub receiver: ReceiverSettings,
    /// Telling LangWatch of runs as they happen.
    pub sink: SinkSettings,
}

/// Spans that the targets of runs send themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverSettings {
    /// Where they are taken (OTLP over HTTP); unset is off.
    pub bind: Option<SocketAddr>,
    /// What senders have to have as bearer token; unset is nothing.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub token: Option<Secret>,
    /// A file with that token.
    pub token_file: Option<PathBuf>,
    /// How long a run waits for the spans of one call before it is judged by them; 0 is not at all.
    pub settle_seconds: u64,
}

/// The worker's own telemetry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerTelemetrySettings {
    /// OTLP/HTTP base; unset is off.
    pub otlp_endpoint: Option<String>,
}

/// The runs' telemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunTelemetrySettings {
    /// Where a run's spans go when its project names no endpoint.
    pub default_endpoint: Option<String>,
    /// Time for delivering a run's spans at its end, retries included.
    pub deadline_seconds: u64,
    /// What spans say of the conversation, where the project does not say so.
    pub capture: ContentCapture,
    /// What an HTTP agent is told of its run as `baggage`.
    pub baggage: Vec<BaggageKey>,
}

/// Spans of runs that their endpoints have not taken yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSettings {
    /// Whether this worker keeps such spans. Those that are there are sent in any case.
    pub enabled: bool,
    /// How long they are kept.
    pub retention_seconds: u64,
    /// About how many bytes of them are kept.
    pub max_bytes: u64,
    /// The pause before they are sent again; it doubles with every attempt, up to ten minutes.
    pub retry_seconds: u64,
}

/// Telling LangWatch of runs as they happen, for projects that ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkSettings {
    /// How long one request may take.
    pub timeout_seconds: u64,
    /// The pause before what was not taken is posted again; it doubles with every attempt, up to a minute.
    pub retry_seconds: u64,
    /// How long it is tried.
    pub retention_seconds: u64,
}

impl Default for RunTelemetrySettings {
    fn default() -> Self {
        Self {
            default_endpoint: None,
            deadline_seconds: TELEMETRY_RUN_DEADLINE_SECONDS,
            capture: ContentCapture::Full,
            baggage: Vec::new(),
        }
    }
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self { bind: None, token: None, token_file: None, settle_seconds: TELEMETRY_RECEIVER_SETTLE_SECONDS }
    }
}

impl ReceiverSettings {
    /// Where the token is; `None` if senders need none.
    #[must_use]
    pub fn token(&self) -> Option<SecretSource> {
        SecretSource::of(
            "telemetry.receiver.token",
            self.token.as_ref(),
            "telemetry.receiver.token_file",
            self.token_file.as_ref(),
        )
    }

    /// How long a run waits for the spans of one call; `None` if none are taken.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.bind.map(|_| Duration::from_secs(self.settle_seconds))
    }
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            retention_seconds: TELEMETRY_SPOOL_RETENTION_SECONDS,
            max_bytes: TELEMETRY_SPOOL_MAX_BYTES,
            retry_seconds: TELEMETRY_SPOOL_RETRY_SECONDS,
        }
    }
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            timeout_seconds: TELEMETRY_SINK_TIMEOUT_SECONDS,
            retry_seconds: TELEMETRY_SINK_RETRY_SECONDS,
            retention_seconds: TELEMETRY_SINK_RETENTION_SECONDS,
        }
    }
}

impl SpoolSettings {
    /// How long spans are kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// The pause before spans are sent again for the first time.
    #[must_use]
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }
}

impl RunTelemetrySettings {
    /// Time for delivering a run's spans at its end, retries included.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }
}

impl SinkSettings {
    /// How long one request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// The pause before something is posted again for the first time.
    #[must_use]
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }

    /// How long it is tried.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// How long a worker may go on telling of a run before another one takes over.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.timeout() * TIMEOUTS_PER_HOLD
    }
}
