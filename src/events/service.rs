//! What the service is asked and what it answers; requests to schedule and to cancel have files of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::schema::Timestamp;
use super::{ProjectId, ReceiptError, RequestRejection, RunId, RunKey, RunStatus};

/// What a rejection calls a request for a status.
const WHAT: &str = "the status request, which needs `projectId` and `scenarioRunId`,";

/// Where a run is, as far as anybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportedPhase {
    /// A worker gave it back, and it waits for the next.
    Queued,
    /// A worker has it, or had it and was lost, so that the next will have it.
    Running,
    /// It is over, for ever.
    Finished,
    /// Nothing is known of it: it is in the queue and no worker has seen it, or it was never asked for, or it was
    /// over so long ago that it is forgotten.
    Unknown,
}

/// The payload of `scenario.run.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunQuery {
    /// The project.
    pub project_id: ProjectId,
    /// The run.
    pub scenario_run_id: RunId,
}

impl RunQuery {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`RequestRejection`] that says what is missing or wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestRejection> {
        RequestRejection::unless_object(bytes, WHAT)
            .and_then(|value| RequestRejection::unless_fits(value, WHAT))
    }

    /// The run that is asked about.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey { project: self.project_id.clone(), run: self.scenario_run_id.clone() }
    }
}

/// The answer to `scenario.run.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The run.
    #[serde(flatten)]
    pub run: RunQuery,
    /// Where it is.
    pub phase: ReportedPhase,
    /// How it ended, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Executions so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Turns begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub updated_at: Option<OffsetDateTime>,
}

/// The answer to `scenario.run.cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelReply {
    /// Always true: the request is stored, or the run is over and there is nothing to store.
    #[schemars(extend("const" = true))]
    pub accepted: bool,
    /// Where the run was at that moment; `unknown` for a batch, whose runs are in many places.
    pub phase: ReportedPhase,
    /// How the run ended, where it was over already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
}

/// The answer to what could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReply {
    /// Why.
    pub error: ReceiptError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_an_unknown_run_has_its_ids_and_its_phase_only() {
        let run: RunQuery =
            serde_json::from_str(r#"{"projectId":"acme","scenarioRunId":"r1","more":1}"#).unwrap();
        let phase = ReportedPhase::Unknown;
        let report = RunReport { run, phase, status: None, attempt: None, turn: None, updated_at: None };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(text, r#"{"projectId":"acme","scenarioRunId":"r1","phase":"unknown"}"#);
        assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), report);
    }
}
