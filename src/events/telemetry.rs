//! What became of a run's spans: the receipt in its outcome, and `scenario.run.telemetry_delivered` for those that came later.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::RunIds;
use super::schema::{TRACE_ID_PATTERN, Timestamp, open_names};

/// The most failures that one receipt lists.
pub const MAX_DELIVERY_FAILURES: usize = 8;

/// What became of a run's spans. `spans` is the sum of `exported`, `rejected`, `spooled`, `undelivered` and `unconfirmed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryReceipt {
    /// The run's trace; null if it never came to run.
    #[schemars(regex(pattern = TRACE_ID_PATTERN))]
    pub trace_id: Option<String>,
    /// Spans made over the whole run, those included that the target sent itself.
    pub spans: u64,
    /// How many of them the target sent itself; they are among all other counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub received: u64,
    /// Spans that the endpoint accepted.
    pub exported: u64,
    /// Spans that the endpoint refused for good.
    #[serde(default)]
    pub rejected: u64,
    /// Spans that are kept and sent later.
    #[serde(default)]
    pub spooled: u64,
    /// Spans that did not arrive and will not.
    #[serde(default)]
    pub undelivered: u64,
    /// Spans of which nobody knows: a worker was lost before it could say what became of them, or time ran out while they
    /// were being kept for later. Some may have arrived, or may yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unconfirmed: u64,
    /// Why not all were accepted, if so, in one line.
    pub error: Option<String>,
    /// The same for programs, and what else was wrong with the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<DeliveryFailure>,
}

/// One reason why spans did not arrive, or not as they should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFailure {
    /// What kind of reason it is.
    pub kind: DeliveryFailureKind,
    /// The HTTP status, where the endpoint answered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What happened, for people.
    pub message: String,
    /// How many spans it is about.
    pub spans: u64,
}

/// Kinds of reasons why spans did not arrive, or not as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = |schema: &mut Schema| open_names(schema, Self::Other.as_str()))]
pub enum DeliveryFailureKind {
    /// The endpoint refused the request with a status.
    Status,
    /// The endpoint was not reached, or the connection broke.
    Transport,
    /// The endpoint took the request but not every span.
    Partial,
    /// Something answered 2xx that is no OTLP endpoint.
    NotOtlp,
    /// Time ran out.
    Deadline,
    /// A span is larger than a request may be.
    TooLarge,
    /// Spans were still open at the end of the run; they were ended as abandoned, and sent.
    OpenSpans,
    /// The run made more spans than are kept in memory.
    BufferFull,
    /// No endpoint is configured.
    NoEndpoint,
    /// The endpoint of the project's definition cannot be used.
    InvalidDestination,
    /// The worker had to stop before the endpoint had answered.
    WorkerStops,
    /// A worker was lost before it could say what became of its spans.
    WorkerLost,
    /// Spans could not be kept for later.
    Spool,
    /// A kind of a newer worker.
    #[serde(other)]
    Other,
}

impl DeliveryFailureKind {
    /// The kind as it travels, and as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Transport => "transport",
            Self::Partial => "partial",
            Self::NotOtlp => "not_otlp",
            Self::Deadline => "deadline",
            Self::TooLarge => "too_large",
            Self::OpenSpans => "open_spans",
            Self::BufferFull => "buffer_full",
            Self::NoEndpoint => "no_endpoint",
            Self::InvalidDestination => "invalid_destination",
            Self::WorkerStops => "worker_stops",
            Self::WorkerLost => "worker_lost",
            Self::Spool => "spool",
            Self::Other => "other",
        }
    }
}

/// The payload of `scenario.run.telemetry_delivered`: what became of spans that the run's outcome calls spooled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTelemetryDelivered {
    /// Which run it is about.
    #[serde(flatten)]
    pub ids: RunIds,
    /// The run's trace.
    #[schemars(regex(pattern = TRACE_ID_PATTERN))]
    pub trace_id: String,
    /// Spans that were kept for later.
    pub spooled: u64,
    /// Those that the endpoint has accepted since.
    pub exported: u64,
    /// Those that it refused for good.
    pub rejected: u64,
    /// Those that were given up because they had become too old.
    pub undelivered: u64,
    /// When the last of them was settled.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "Timestamp")]
    pub at: OffsetDateTime,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_of_an_older_worker_is_read() {
        let old = json!({ "traceId": "t", "spans": 3, "exported": 1, "error": "no" });
        let receipt: TelemetryReceipt = serde_json::from_value(old).unwrap();
        assert_eq!((receipt.rejected, receipt.spooled, receipt.errors.len()), (0, 0, 0));
    }

    #[test]
    fn a_kind_travels_under_its_name_and_a_newer_one_is_read() {
        for kind in
            [DeliveryFailureKind::NotOtlp, DeliveryFailureKind::WorkerLost, DeliveryFailureKind::Spool]
        {
            assert_eq!(json!(kind), kind.as_str());
        }
        let newer: DeliveryFailureKind = serde_json::from_value(json!("eclipse")).unwrap();
        assert_eq!(newer, DeliveryFailureKind::Other);
    }
}
