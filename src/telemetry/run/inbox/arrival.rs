//! A span on its arrival.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::digest::Piece;
use super::family::{self, Id};
use super::work;
use crate::execution::types::WorkKind;
use crate::telemetry::export::SpanEnvelope;
use crate::telemetry::ingress::Refusal;
use crate::telemetry::run::fitting::{MAX_SPAN_BYTES, fitting};

/// A span that came, as it is passed on and as judge and checks hear of it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) parent: Option<Id>,
    /// The number of the request that it came with.
    pub(super) request: u64,
    pub(super) piece: Piece,
    pub(super) span: Span,
    pub(super) envelope: Arc<SpanEnvelope>,
    /// Bytes of span and envelope.
    pub(super) bytes: usize,
}

impl Arrival {
    /// What it says is read before the span is cut, so that whoever cleans it of secrets sees where it was cut.
    pub(super) fn new(
        id: Id,
        span: &Span,
        envelope: &Arc<SpanEnvelope>,
        request: u64,
    ) -> Result<Self, Refusal> {
        let piece = Piece { id, start: span.start_time_unix_nano, work: work::of(span) };
        let parent = family::id(&span.parent_span_id);
        let span = fitting(span.clone());
        let bytes = span.encoded_len();
        if bytes > MAX_SPAN_BYTES {
            return Err(Refusal::TooLarge);
        }
        let bytes = bytes + envelope.size();
        Ok(Self { parent, request, piece, span, envelope: Arc::clone(envelope), bytes })
    }

    pub(super) fn id(&self) -> Id {
        self.piece.id
    }

    pub(super) fn is_tool(&self) -> bool {
        self.piece.work.kind == WorkKind::Tool
    }
}
