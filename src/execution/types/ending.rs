//! How a run ended, kept until it is reported.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Judgement;
use crate::events::TelemetryReceipt;
use crate::execution::failure::RunFailure;

/// How a run ended, in what was decided. Once it is stored, whoever has the run only reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was judged.
    Judged(Judgement),
    /// It could not be judged.
    Failed(RunFailure),
    /// Somebody cancelled it; the wording says when.
    Cancelled(String),
}

/// What an outcome says beside the ending, known once the trace is delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What became of the spans.
    pub telemetry: TelemetryReceipt,
    /// When the run ended.
    #[serde(with = "time::serde::rfc3339")]
    pub finished_at: OffsetDateTime,
}
