//! The wire contract: what travels over NATS, and nothing else.
//!
//! Everything here is plain data: subjects, headers and payloads as clients see them. The module
//! knows no other room of the crate, so that a client library could be cut out of it.

mod baggage;
mod cancel;
mod cassette;
mod completed;
mod cost;
mod dead_letter;
mod ids;
mod judge_models;
mod progress;
mod receipt;
mod request;
mod service;
pub mod subjects;
mod telemetry;
mod trace_context;

pub use baggage::{BaggageKey, HEADER_BAGGAGE, baggage};
pub use cancel::{CancelRequest, CancelScope};
pub use cassette::{CassetteMode, CassetteRequest};
pub use completed::{
    Agreement, Attribution, CriterionResult, CriterionStatus, DecidedBy, Quote, RunCompleted, RunError,
    RunStatus, TokenUsage, TranscriptMessage, UsageByRole, Verdict, Vote,
};
pub use cost::{Budget, Cost, InvalidCost};
pub use dead_letter::{DeadLetter, DeadLetterCode, PayloadObject};
pub use ids::{
    BatchRunId, CassetteName, InvalidId, MAX_ID_CHARS, ProjectId, ReferenceId, RunId, RunKey, ScenarioId,
    SetId, TargetType,
};
pub use judge_models::{InvalidPanel, JudgeModels, MAX_JUDGES};
pub use progress::{MessageRole, RunIds, RunMessage, RunStarted, ScenarioSummary, ToolCall};
pub use receipt::{Receipt, ReceiptError};
pub use request::{
    MAX_TIMEOUT_SECONDS, MAX_TURNS_LIMIT, ModelOverrides, RequestIdentity, RequestPayload, RequestRejection,
    RunRequest, TargetRef, TraceContextMode,
};
pub use service::{CancelReply, ErrorReply, ReportedPhase, RunQuery, RunReport};
pub use telemetry::{
    DeliveryFailure, DeliveryFailureKind, MAX_DELIVERY_FAILURES, RunTelemetryDelivered, TelemetryReceipt,
};
pub use trace_context::{InvalidTraceContext, TraceContext};
