//! What a client gets back for a request: scheduled, or why not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BatchRunId, RunId, SetId};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptError {
    /// Stable code for programs.
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ReceiptError {
    /// An error of which nothing more is known.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: None }
    }
}

/// The answer to a request to schedule. It says `scheduled: true` only of what the stream has stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Receipt {
    /// The stream has it.
    Scheduled {
        /// Always true.
        #[schemars(extend("const" = true))]
        scheduled: bool,
        /// The request's `Nats-Msg-Id`.
        job_id: String,
        /// The run.
        scenario_run_id: RunId,
        /// The batch.
        batch_run_id: BatchRunId,
        /// The set.
        set_id: SetId,
        /// The stream had it already.
        duplicate: bool,
        /// Where the stream stored it.
        stream_sequence: u64,
    },
    /// It was refused; nothing was published.
    Refused {
        /// Always false.
        #[schemars(extend("const" = false))]
        scheduled: bool,
        /// Why.
        error: ReceiptError,
    },
}

impl Receipt {
    /// A refusal.
    #[must_use]
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused { scheduled: false, error: ReceiptError::new(code, message) }
    }

    /// The same, and what to do about a refusal.
    #[must_use]
    pub fn with_hint(mut self, what_to_do: Option<String>) -> Self {
        if let Self::Refused { error, .. } = &mut self {
            error.hint = what_to_do;
        }
        self
    }
}
