//! How long what runs leave behind is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const EVENTS_COMPLETED_RETENTION_SECONDS: u64 = 259_200;
const EVENTS_FAILED_RETENTION_SECONDS: u64 = 604_800;
const EVENTS_PROGRESS_RETENTION_SECONDS: u64 = 86_400;
const CASSETTES_RETENTION_SECONDS: u64 = 90 * 24 * 60 * 60;

/// What runs report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// How long the outcome of a judged run is kept.
    pub completed_retention_seconds: u64,
    /// How long the outcome of a failed run, a dead letter and a terminal run state are kept.
    pub failed_retention_seconds: u64,
    /// How long `started` and `message` events are kept.
    pub progress_retention_seconds: u64,
    /// Also publish on the plain subjects `scenario.run.<kind>`.
    pub republish: bool,
}

/// Cassettes: what recorded runs said and heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CassetteSettings {
    /// How long a cassette is kept.
    pub retention_seconds: u64,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            completed_retention_seconds: EVENTS_COMPLETED_RETENTION_SECONDS,
            failed_retention_seconds: EVENTS_FAILED_RETENTION_SECONDS,
            progress_retention_seconds: EVENTS_PROGRESS_RETENTION_SECONDS,
            republish: true,
        }
    }
}

impl Default for CassetteSettings {
    fn default() -> Self {
        Self { retention_seconds: CASSETTES_RETENTION_SECONDS }
    }
}

impl EventSettings {
    /// How long any event is kept at most.
    #[must_use]
    pub fn longest_retention(&self) -> Duration {
        let Self {
            completed_retention_seconds, failed_retention_seconds, progress_retention_seconds, ..
        } = self;
        Duration::from_secs(
            *completed_retention_seconds.max(failed_retention_seconds).max(progress_retention_seconds),
        )
    }

    /// How long every outcome is kept at least.
    #[must_use]
    pub fn least_outcome_retention(&self) -> Duration {
        Duration::from_secs(self.completed_retention_seconds.min(self.failed_retention_seconds))
    }
}
