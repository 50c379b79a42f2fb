//! Passing received spans on to the tenant, so many of each maker.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::arrival::Arrival;
use super::family::Id;
use crate::telemetry::ingress::Refusal;
use crate::telemetry::metrics::{Metrics, SpanLoss};
use crate::telemetry::run::buffer::{Maker, SpanBuffer};

/// What one run passes on.
pub(super) struct Onward {
    buffer: Arc<SpanBuffer>,
    metrics: Metrics,
    /// Those that were passed on, or wait for it.
    known: HashSet<Id>,
    targets: usize,
    strangers: usize,
    /// Spans of the target that were taken before there was room for them.
    waiting: VecDeque<Arrival>,
    waiting_bytes: usize,
}

/// What became of a span.
enum Passed {
    On,
    /// The run has passed on as many as it does.
    Full,
    /// There is no room before others are delivered.
    Busy(Box<Arrival>),
}

impl Onward {
    pub(super) fn new(buffer: Arc<SpanBuffer>, metrics: Metrics) -> Self {
        let (known, waiting) = Default::default();
        Self { buffer, metrics, known, targets: 0, strangers: 0, waiting, waiting_bytes: 0 }
    }

    /// Whether the span was passed on, or will be.
    pub(super) fn has(&self, id: Id) -> bool {
        self.known.contains(&id)
    }

    /// Spans that were passed on.
    pub(super) fn count(&self) -> u64 {
        (self.targets + self.strangers) as u64
    }

    /// Passes on a span whose sender can be told if there is no room for it.
    pub(super) fn offer(&mut self, arrival: Arrival, maker: Maker) -> Result<(), Refusal> {
        match self.pass(arrival, maker) {
            Passed::On => Ok(()),
            Passed::Full => Err(Refusal::Full),
            // Strangers have no claim to be asked again.
            Passed::Busy(_) if maker == Maker::Stranger => Err(Refusal::Full),
            Passed::Busy(_) => Err(Refusal::Busy),
        }
    }

    /// Passes on a span that was taken earlier. One of the target waits for room, up to as many bytes as there is room for.
    pub(super) fn settle(&mut self, arrival: Arrival, maker: Maker) {
        match self.pass(arrival, maker) {
            Passed::On => {}
            Passed::Busy(arrival)
                if maker == Maker::Target && self.waiting_bytes + arrival.bytes <= maker.most_bytes() =>
            {
                self.known.insert(arrival.id());
                self.waiting_bytes += arrival.bytes;
                self.waiting.push_back(*arrival);
            }
            Passed::Busy(_) | Passed::Full => self.lose(SpanLoss::BufferFull, 1),
        }
    }

    /// Passes on what there is room for by now.
    pub(super) fn retry(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            self.waiting_bytes -= next.bytes;
            if let Passed::Busy(next) = self.pass_new(next, Maker::Target) {
                self.waiting_bytes += next.bytes;
                self.waiting.push_front(*next);
                return;
            }
        }
    }

    /// Nothing comes any more: what has no room now never will.
    pub(super) fn close(&mut self) {
        self.retry();
        let left = self.waiting.drain(..).count() as u64;
        self.waiting_bytes = 0;
        self.lose(SpanLoss::BufferFull, left);
    }

    /// Counts spans that were taken and go nowhere.
    pub(super) fn lose(&self, why: SpanLoss, spans: u64) {
        if spans > 0 {
            self.metrics.spans_dropped(why, spans);
        }
    }

    fn pass(&mut self, arrival: Arrival, maker: Maker) -> Passed {
        if self.has(arrival.id()) { Passed::On } else { self.pass_new(arrival, maker) }
    }

    fn pass_new(&mut self, mut arrival: Arrival, maker: Maker) -> Passed {
        let count = if maker == Maker::Target { &mut self.targets } else { &mut self.strangers };
        if *count >= maker.most_spans() {
            return Passed::Full;
        }
        let span = std::mem::take(&mut arrival.span);
        if let Some(span) = self.buffer.push_received(span, &arrival.envelope, maker) {
            return Passed::Busy(Box::new(Arrival { span, ..arrival }));
        }
        *count += 1;
        self.known.insert(arrival.id());
        Passed::On
    }
}
