//! Spans that the target of a run sends itself: they go to the run's tenant, and judge and checks hear of them.
//!
//! Only what stands below a call that this run made is the target's work for it. A run that continues somebody else's trace
//! shares its trace id, so that it passes on nothing else; in a trace of its own a run passes on whatever comes.

mod digest;
mod family;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::SpanId;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::digest::{Piece, digest};
use self::family::{Family, Id, Origin};
use super::buffer::SpanBuffer;
use super::describe::Work;
use super::fitting::fitting;
use crate::execution::ports::TargetSpans;
use crate::execution::types::Heard;
use crate::telemetry::export::SpanEnvelope;
use crate::telemetry::ingress::{Bundle, Reception, Recipient, Refusal};
use crate::telemetry::metrics::{Metrics, SpanLoss};

/// The most spans that one run takes from its target. An agent that makes more in one conversation has run wild.
const MAX_RECEIVED: usize = 4096;
/// The most spans of one run of which judge and checks hear. Others are passed on all the same.
const MAX_HEARD: usize = 1024;
/// The most bytes of what stands around the spans of a request, such as the resource: it travels with every batch.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;
/// The most spans that wait until it is known whose they are.
const MAX_HELD: usize = 512;

/// What one run has received.
pub(super) struct Inbox {
    /// Nobody else can have this trace id.
    owns_trace: bool,
    /// How long it is waited for spans of one call.
    patience: Duration,
    buffer: Arc<SpanBuffer>,
    metrics: Metrics,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    closed: bool,
    family: Family,
    pieces: Vec<Piece>,
    /// Spans of which it is not known yet whether they are this run's.
    held: Vec<Held>,
    /// Spans that were taken for the tenant.
    passed_on: u64,
    /// Something came that nobody is told of.
    overflowed: bool,
    /// It was waited in vain, and nothing has come since.
    in_vain: bool,
}

struct Held {
    id: Id,
    span: Span,
    envelope: Arc<SpanEnvelope>,
}

impl Inbox {
    pub(super) fn new(
        owns_trace: bool,
        patience: Duration,
        buffer: Arc<SpanBuffer>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let (state, changed) = Default::default();
        Arc::new(Self { owns_trace, patience, buffer, metrics, state, changed })
    }

    /// The run made a span.
    pub(super) fn made(&self, span: SpanId, work: Work) {
        match work {
            Work::Target => self.state().family.call(span.to_bytes()),
            Work::Run => self.state().family.own(span.to_bytes()),
            _ => {}
        }
    }

    /// Spans that were taken for the tenant so far.
    pub(super) fn passed_on(&self) -> u64 {
        self.state().passed_on
    }

    /// Nothing is taken any more. What nobody knew the owner of is nobody's.
    pub(super) fn close(&self) {
        let held = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.held).len()
        };
        self.metrics.spans_dropped(SpanLoss::Unrelated, held as u64);
        self.changed.notify_waiters();
    }

    fn take(&self, bundle: &Bundle) -> Option<Reception> {
        let mut reception = Reception { owns: self.owns_trace, ..Reception::default() };
        let mut state = self.state();
        if state.closed {
            return None;
        }
        for (envelope, spans) in bundle.groups.iter().flat_map(groups) {
            let envelope = (envelope.size() <= MAX_ENVELOPE_BYTES).then(|| Arc::new(envelope));
            for span in spans {
                match self.take_span(&mut state, span, envelope.as_ref()) {
                    Ok(()) => reception.taken += 1,
                    Err(refusal) => reception.refuse(refusal, 1),
                }
            }
        }
        self.release(&mut state);
        state.in_vain = false;
        drop(state);
        self.changed.notify_waiters();
        Some(reception)
    }

    fn take_span(
        &self,
        state: &mut State,
        span: &Span,
        envelope: Option<&Arc<SpanEnvelope>>,
    ) -> Result<(), Refusal> {
        let id = family::id(&span.span_id).ok_or(Refusal::Invalid)?;
        let envelope = envelope.ok_or(Refusal::TooLarge)?;
        if state.family.has(id) {
            // Whoever heard no answer sends again.
            return Ok(());
        }
        if state.family.received() >= MAX_RECEIVED {
            return Err(Refusal::Full);
        }
        self.keep(state, id, fitting(span.clone()), envelope)?;
        state.family.add(id, family::id(&span.parent_span_id));
        if state.pieces.len() < MAX_HEARD {
            state.pieces.push(Piece { id, start: span.start_time_unix_nano, work: work::of(span) });
        } else {
            state.overflowed = true;
        }
        Ok(())
    }

    /// In a trace of its own whatever comes is the run's; else it is seen once its parents are there.
    fn keep(
        &self,
        state: &mut State,
        id: Id,
        span: Span,
        envelope: &Arc<SpanEnvelope>,
    ) -> Result<(), Refusal> {
        if self.owns_trace {
            return self.pass_on(state, span, envelope);
        }
        if state.held.len() >= MAX_HELD {
            return Err(Refusal::Full);
        }
        state.held.push(Held { id, span, envelope: Arc::clone(envelope) });
        Ok(())
    }

    fn pass_on(&self, state: &mut State, span: Span, envelope: &Arc<SpanEnvelope>) -> Result<(), Refusal> {
        if !self.buffer.push_received(span, envelope) {
            return Err(Refusal::Full);
        }
        state.passed_on += 1;
        Ok(())
    }

    /// Passes on what is the run's by now.
    fn release(&self, state: &mut State) {
        let (known, held): (Vec<Held>, Vec<Held>) = std::mem::take(&mut state.held)
            .into_iter()
            .partition(|held| state.family.origin(held.id) != Origin::Unknown);
        state.held = held;
        let lost = known
            .into_iter()
            .filter_map(|Held { span, envelope, .. }| self.pass_on(state, span, &envelope).err());
        self.metrics.spans_dropped(SpanLoss::BufferFull, lost.count() as u64);
    }

    /// What there is below `call`.
    fn heard(&self, call: Id) -> Heard {
        let state = self.state();
        let settled = state.family.is_settled(call) && !state.overflowed;
        digest(&state.pieces, &state.family, call, settled)
    }

    fn is_settled(&self, call: Id) -> bool {
        let state = self.state();
        state.closed || state.in_vain || state.family.is_settled(call)
    }

    /// Whoever was waited for in vain is not waited for again.
    fn give_up(&self) {
        let mut state = self.state();
        state.family.forget_missing();
        state.in_vain = state.family.received() == 0;
    }

    async fn settled(&self, call: Id) {
        let until = Instant::now() + self.patience;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // What changes from here on is heard of.
            changed.as_mut().enable();
            if self.is_settled(call) {
                return;
            }
            if timeout_at(until, changed).await.is_err() {
                return self.give_up();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Recipient for Inbox {
    async fn receive(&self, bundle: Arc<Bundle>) -> Option<Reception> {
        self.take(&bundle)
    }
}

#[async_trait]
impl TargetSpans for Inbox {
    fn expect(&self, call: &str) {
        if let Some(call) = read(call) {
            self.state().family.call(call);
        }
    }

    async fn below(&self, call: &str) -> Heard {
        let Some(call) = read(call) else { return Heard::default() };
        self.settled(call).await;
        self.heard(call)
    }
}

fn read(call: &str) -> Option<Id> {
    family::id(&hex::decode(call).ok()?)
}

/// The spans of a resource by their scopes, with what is around them.
fn groups(resource: &ResourceSpans) -> impl Iterator<Item = (SpanEnvelope, &[Span])> {
    resource.scope_spans.iter().map(|scope| {
        let around = SpanEnvelope::received(
            (resource.resource.clone(), resource.schema_url.clone()),
            (scope.scope.clone(), scope.schema_url.clone()),
        );
        (around, scope.spans.as_slice())
    })
}

#[cfg(test)]
mod tests;
