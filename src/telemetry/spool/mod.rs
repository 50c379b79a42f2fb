//! Spans that their endpoint has not taken: kept elsewhere while the run ends, and sent later by any worker.
//!
//! What is kept is the body of an export request and what is needed to send it and to tell of it. The endpoint and its
//! key are never part of it: they are looked up in the project's definition whenever it is sent.

mod courier;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::export::Packed;
use crate::events::{DeliveryFailure, RunIds, TraceContext};
use crate::execution::failure::Unavailable;
pub use courier::{Courier, NotDelivered, SEND_TIME, send_time};

/// Keeps spans.
#[async_trait]
pub trait SpanSpool: fmt::Debug + Send + Sync {
    /// Keeps a request for later. Whoever is cancelled in the middle of this may have kept it all the same.
    ///
    /// # Errors
    /// [`NotKept`] if it is not.
    async fn keep(&self, parcel: &Parcel, body: &Packed) -> Result<(), NotKept>;
}

/// Why spans are not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// There is no room.
    #[error("{used} bytes of spans are kept already, of at most {most} (`telemetry.spool.max_bytes`)")]
    Full {
        /// Bytes that are kept, of whomever.
        used: u64,
        /// Bytes that may be.
        most: u64,
    },
    /// Nobody answers.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl NotKept {
    /// The reason as a run's receipt has it: how much others keep, and where, is not its business.
    #[must_use]
    pub fn told(&self) -> &'static str {
        match self {
            Self::Full { .. } => "because there is no room for more (`telemetry.spool.max_bytes`)",
            Self::Unavailable(_) => "because what keeps them did not answer",
        }
    }
}

/// What is known of a request that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Its name among those of the run.
    pub name: String,
    /// The run whose spans it has.
    #[serde(flatten)]
    pub ids: RunIds,
    /// The run's trace.
    pub trace_id: String,
    /// The root's context, where the request brought one: events about the spans carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_context: Option<TraceContext>,
    /// How many spans it has.
    pub spans: u64,
    /// Whether its body is compressed.
    pub gzip: bool,
    /// When it was put away.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// When the endpoint wants to hear more, if it said so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<OffsetDateTime>,
}

/// What became of the spans of a parcel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Accepted by the endpoint.
    pub exported: u64,
    /// Refused by the endpoint for good.
    pub rejected: u64,
    /// Given up.
    pub undelivered: u64,
    /// Why not all were accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<DeliveryFailure>,
}

impl Settled {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for failure in other.failures {
            let spans = failure.spans;
            failure.blame(&mut self.failures, spans);
        }
        Self {
            exported: self.exported + other.exported,
            rejected: self.rejected + other.rejected,
            undelivered: self.undelivered + other.undelivered,
            ..self
        }
    }
}
