//! The demo's program: which rehearsals, and what should come of each.

use serde_json::json;

use crate::cli::error::CliError;
use crate::events::{RequestPayload, RunCompleted, RunStatus};

/// The scenario whose trace is shown.
pub(super) const TRACED: &str = "broken-mug";

/// A rehearsal and what should come of it.
pub(super) struct Rehearsal {
    /// The scenario.
    pub(super) scenario: &'static str,
    target_type: &'static str,
    target_id: &'static str,
    expected: RunStatus,
}

/// All of them; they run at once.
pub(super) const PROGRAM: [Rehearsal; 5] = [
    Rehearsal::new("broken-mug", "http", "shop-agent", RunStatus::Success),
    Rehearsal::new("late-parcel", "http", "shop-agent", RunStatus::Failed),
    Rehearsal::new("sunday-hours", "prompt", "concierge", RunStatus::Success),
    Rehearsal::new("umtausch", "prompt", "concierge", RunStatus::Success),
    Rehearsal::new("gift-wrapping", "http", "gift-agent", RunStatus::Error),
];

impl Rehearsal {
    const fn new(
        scenario: &'static str,
        target_type: &'static str,
        target_id: &'static str,
        expected: RunStatus,
    ) -> Self {
        Self { scenario, target_type, target_id, expected }
    }

    /// The request for it.
    pub(super) fn request(&self) -> Result<RequestPayload, CliError> {
        let payload = json!({
            "projectId": "demo",
            "scenarioId": self.scenario,
            "target": { "type": self.target_type, "referenceId": self.target_id },
            "batchRunId": "demo",
        });
        serde_json::from_value(payload).map_err(CliError::refused)
    }

    /// What is not as it should be, if something is not.
    pub(super) fn surprise(&self, outcomes: &[RunCompleted]) -> Option<String> {
        let outcome = outcomes.iter().find(|outcome| outcome.ids.scenario_id.as_str() == self.scenario);
        let Some(outcome) = outcome else { return Some(format!("{} has no outcome", self.scenario)) };
        let (expected, came) = (self.expected, outcome.status);
        (came != expected).then(|| {
            format!("{} ended as {came:?}, not as {expected:?}: {}", self.scenario, outcome.reasoning)
        })
    }
}
