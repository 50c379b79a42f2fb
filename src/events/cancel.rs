//! `scenario.run.cancel_requested`: stop a run, or every run of a batch.

use serde::{Deserialize, Serialize};

use super::{BatchRunId, ProjectId, RunId};

/// What is to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// The project.
    pub project_id: ProjectId,
    /// The run or the batch.
    #[serde(flatten)]
    pub scope: CancelScope,
}
