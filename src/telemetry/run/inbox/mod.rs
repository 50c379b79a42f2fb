//! Spans that the target of a run sends itself: they go to the run's tenant, and judge and checks hear of them.
//!
//! Only what stands below a call that this run made is the target's work for it: the id of that call is what nobody but the
//! target was told. Whatever else comes with the run's trace id is a stranger's, and has room of its own: it is waited for by
//! nobody, heard by nobody, and takes no place of the target's spans. A run that continues somebody else's trace shares its
//! trace id, so that it passes on nothing of strangers; in a trace of its own a run does, as far as they have room.

mod arrival;
mod digest;
mod family;
mod onward;
mod orphans;
mod pieces;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::SpanId;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::arrival::Arrival;
use self::digest::digest;
use self::family::{Family, Id, Origin};
use self::onward::Onward;
use self::orphans::{Orphan, Orphans};
use self::pieces::Pieces;
use super::buffer::{Maker, SpanBuffer};
use super::describe::Work;
use crate::execution::ports::TargetSpans;
use crate::execution::types::Heard;
use crate::telemetry::export::SpanEnvelope;
use crate::telemetry::ingress::{Bundle, Reception, Recipient, Refusal};
use crate::telemetry::metrics::{Metrics, SpanLoss};

/// What one run has received.
pub(super) struct Inbox {
    /// How long it is waited for spans of one call.
    patience: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Nobody else can have this trace id.
    owns_trace: bool,
    closed: bool,
    family: Family,
    orphans: Orphans,
    pieces: Pieces,
    onward: Onward,
    /// How many requests came.
    requests: u64,
    /// Those that had something below a call: whoever sent them was told of it.
    vouched: HashSet<u64>,
    /// Parents that nobody waits for any more.
    given_up: HashSet<Id>,
    /// It was waited in vain, and nothing has come below a call since.
    in_vain: bool,
}

impl Inbox {
    pub(super) fn new(
        owns_trace: bool,
        patience: Duration,
        buffer: Arc<SpanBuffer>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let state = Mutex::new(State::new(owns_trace, Onward::new(buffer, metrics)));
        Arc::new(Self { patience, state, changed: Notify::new() })
    }

    /// The run made a span.
    pub(super) fn made(&self, span: SpanId, work: Work) {
        match work {
            Work::Target => self.state().call(span.to_bytes()),
            Work::Run => self.state().own(span.to_bytes()),
            _ => {}
        }
    }

    /// Spans that were taken for the tenant so far.
    pub(super) fn passed_on(&self) -> u64 {
        self.state().onward.count()
    }

    /// Nothing is taken any more. What nobody knew the owner of is a stranger's.
    pub(super) fn close(&self) {
        self.state().close();
        self.changed.notify_waiters();
    }

    fn take(&self, bundle: &Bundle) -> Option<Reception> {
        let reception = self.state().take(bundle)?;
        self.changed.notify_waiters();
        Some(reception)
    }

    /// What there is below `call`.
    fn heard(&self, call: Id) -> Heard {
        let mut state = self.state();
        let settled = state.is_whole(call);
        let of_call = state.pieces.of(call);
        digest(&of_call, &state.family, settled)
    }

    fn is_settled(&self, call: Id) -> bool {
        let state = self.state();
        state.closed || state.in_vain || state.is_whole(call)
    }

    /// Whoever was waited for in vain is not waited for again.
    fn give_up(&self) {
        let mut state = self.state();
        let State { orphans, vouched, given_up, family, in_vain, .. } = &mut *state;
        given_up.extend(orphans.missing(vouched));
        *in_vain = !family.has_any_come();
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

impl State {
    fn new(owns_trace: bool, onward: Onward) -> Self {
        let (family, orphans, pieces, vouched, given_up) = Default::default();
        let (closed, requests, in_vain) = Default::default();
        Self { owns_trace, closed, family, orphans, pieces, onward, requests, vouched, given_up, in_vain }
    }

    fn call(&mut self, id: Id) {
        self.family.call(id);
        self.adopt_below(id, Origin::Call(id));
    }

    fn own(&mut self, id: Id) {
        self.family.own(id);
        self.adopt_below(id, Origin::Run);
    }

    fn take(&mut self, bundle: &Bundle) -> Option<Reception> {
        if self.closed {
            return None;
        }
        self.onward.retry();
        self.requests += 1;
        let mut reception = Reception { owns: self.owns_trace, ..Reception::default() };
        for group in &bundle.groups {
            for span in &group.spans {
                match self.take_span(span, &group.around) {
                    Ok(()) => reception.taken += 1,
                    Err(refusal) => reception.refuse(refusal, 1),
                }
            }
        }
        Some(reception)
    }

    fn take_span(&mut self, span: &Span, envelope: &Arc<SpanEnvelope>) -> Result<(), Refusal> {
        let id = family::id(&span.span_id).ok_or(Refusal::Invalid)?;
        if self.orphans.has(id) || self.onward.has(id) {
            // Whoever heard no answer sends again.
            return Ok(());
        }
        let known = self.family.origin(id);
        let arrival = Arrival::new(id, span, envelope, self.requests)?;
        if let Some(origin) = known {
            return self.onward.offer(arrival, maker(origin));
        }
        let Some((parent, origin)) = self.origin_of_parent(&arrival) else {
            self.shelter(arrival);
            return Ok(());
        };
        self.recognise(&arrival, parent, origin)?;
        let said = self.onward.offer(arrival, maker(origin));
        self.adopt_below(id, origin);
        said
    }

    fn origin_of_parent(&self, arrival: &Arrival) -> Option<(Id, Origin)> {
        let parent = arrival.parent?;
        Some((parent, self.family.origin(parent)?))
    }

    /// It is known now whose the span is. Tools are heard of even if the span itself is one too many to be passed on.
    fn recognise(&mut self, arrival: &Arrival, parent: Id, origin: Origin) -> Result<(), Refusal> {
        let is_followed = self.family.add(arrival.id(), parent, origin);
        if let Origin::Call(call) = origin {
            self.in_vain = false;
            if is_followed {
                self.vouched.insert(arrival.request);
                self.pieces.add(call, arrival.piece.clone());
            } else {
                self.pieces.lose(call, arrival.is_tool());
            }
        }
        if is_followed { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Keeps a span until its parents are there. Those that have to go for it are treated as strangers'.
    fn shelter(&mut self, arrival: Arrival) {
        for gone in self.orphans.add(arrival) {
            self.let_go(gone, SpanLoss::BufferFull);
        }
    }

    /// A span goes on as a stranger's, or nowhere where the trace is not the run's alone.
    fn let_go(&mut self, arrival: Arrival, loss: SpanLoss) {
        if self.owns_trace {
            self.onward.settle(arrival, Maker::Stranger);
        } else {
            self.onward.lose(loss, 1);
        }
    }

    /// `parent` is known now, and so is everything below it.
    fn adopt_below(&mut self, parent: Id, origin: Origin) {
        let mut parents = vec![parent];
        while let Some(parent) = parents.pop() {
            for (id, orphan) in self.orphans.take_below(parent) {
                self.adopt(id, orphan, parent, origin);
                parents.push(id);
            }
        }
    }

    fn adopt(&mut self, id: Id, orphan: Orphan, parent: Id, origin: Origin) {
        if let Some(arrival) = orphan.whole {
            return match self.recognise(&arrival, parent, origin) {
                Ok(()) => self.onward.settle(*arrival, maker(origin)),
                Err(_) => self.onward.lose(SpanLoss::BufferFull, 1),
            };
        }
        self.family.add(id, parent, origin);
        if let Origin::Call(call) = origin {
            self.vouched.insert(orphan.request);
            self.pieces.lose(call, orphan.is_tool);
        }
    }

    /// Whether something came for `call`, and nothing that came points to more. Spans of whoever was not told of a call point
    /// to nothing.
    fn is_whole(&self, call: Id) -> bool {
        let mut missing = self.orphans.missing(&self.vouched);
        self.family.has_come(call) && missing.all(|parent| self.given_up.contains(&parent))
    }

    fn close(&mut self) {
        self.closed = true;
        self.onward.close();
        for arrival in self.orphans.drain() {
            self.let_go(arrival, SpanLoss::Unrelated);
        }
    }
}

fn maker(origin: Origin) -> Maker {
    match origin {
        Origin::Call(_) => Maker::Target,
        Origin::Run => Maker::Stranger,
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
            self.state().call(call);
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

#[cfg(test)]
mod tests;
