//! How many calls somebody takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest limit: more calls than any worker makes in a minute, so that a mistyped number is noticed.
pub const MAX_CALL_LIMIT: u32 = 1_000_000;

/// How many calls an agent, a provider or a whole project may get, from all workers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallLimits {
    /// Calls that may begin in a minute. They are spread evenly over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_CALL_LIMIT))]
    pub requests_per_minute: Option<u32>,
    /// Calls that may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_CALL_LIMIT))]
    pub max_in_flight: Option<u32>,
}

impl CallLimits {
    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests_per_minute.is_none() && self.max_in_flight.is_none()
    }
}
