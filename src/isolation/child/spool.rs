//! Spans that no endpoint has taken, which the worker keeps.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::line::Line;
use crate::isolation::frames::{Answer, Call, LateSpans};
use crate::telemetry::export::Packed;
use crate::telemetry::spool::{NotKept, Parcel, SpanSpool};

const KEEPING: &str = "having the worker keep spans";

/// Hands spans to the worker, which knows whose they are.
pub struct PipeSpool(pub Line);

impl fmt::Debug for PipeSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeSpool").finish_non_exhaustive()
    }
}

#[async_trait]
impl SpanSpool for PipeSpool {
    async fn keep(&self, parcel: &Parcel, packed: &Packed) -> Result<(), NotKept> {
        let late = LateSpans {
            trace_id: parcel.trace_id.clone(),
            context: parcel.trace_context.clone(),
            spans: parcel.spans,
            at: parcel.at,
            not_before: parcel.not_before,
            gzip: packed.gzip,
            body: STANDARD.encode(&packed.body),
        };
        match self.0.ask(Call::Spool(Box::new(late))).await {
            Answer::Done => Ok(()),
            Answer::Full { used, most } => Err(NotKept::Full { used, most }),
            other => Err(other.into_unavailable(KEEPING).into()),
        }
    }
}
