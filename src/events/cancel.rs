//! `scenario.run.cancel_requested`: stop a run, or every run of a batch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BatchRunId, ProjectId, RequestRejection, RunId};

/// What a rejection calls the payload.
const WHAT: &str = "the cancel request, which needs `projectId` and one of `scenarioRunId` and `batchRunId`,";

/// What is to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum CancelScope {
    /// One run.
    Run {
        /// The run.
        scenario_run_id: RunId,
    },
    /// Every run of a batch.
    Batch {
        /// The batch.
        batch_run_id: BatchRunId,
    },
}

/// The payload of `scenario.run.cancel_requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// The project.
    pub project_id: ProjectId,
    /// The run or the batch.
    #[serde(flatten)]
    pub scope: CancelScope,
}

/// The fields that a cancel request can have.
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "projectId")]
    _project: ProjectId,
    #[serde(rename = "scenarioRunId")]
    _run: Option<RunId>,
    #[serde(rename = "batchRunId")]
    _batch: Option<BatchRunId>,
}

impl CancelRequest {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`RequestRejection`] that says what is missing or wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestRejection> {
        let value = RequestRejection::unless_object(bytes, WHAT)?;
        Self::deserialize(&value).map_err(|error| {
            // A choice that fails does not say why; the fields one by one do.
            let fields: Result<Fields, _> = RequestRejection::unless_fits(value, WHAT);
            fields.err().unwrap_or_else(|| RequestRejection::wrong(WHAT, "", &error))
        })
    }
}
