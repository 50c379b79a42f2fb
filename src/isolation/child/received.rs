//! Spans that the run's target sends: the worker receives them and hands them over.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::line::Line;
use crate::isolation::frames::FromChild;
use crate::telemetry::ingress::{Bundle, Hub, Reception, TraceKey};

/// Hands what the worker sends to `hub`, for as long as the run lasts, and says what became of it.
pub(super) async fn hear(line: Line, hub: Hub, trace: TraceKey) {
    let Some(mut received) = line.received() else { return };
    while let Some((number, spans)) = received.recv().await {
        let reception = take(&hub, trace, &spans).await;
        line.say(&FromChild::Took { number, reception });
    }
}

async fn take(hub: &Hub, trace: TraceKey, spans: &str) -> Option<Reception> {
    let bytes = STANDARD.decode(spans).ok()?;
    let bundle = Bundle::decode(trace, &bytes).ok()?;
    hub.offer(&Arc::new(bundle)).await
}
