//! Where the spans of one run wait for their delivery.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;

use super::describe::without_words;
use super::fitting::fitting;
use crate::definitions::ContentCapture;
use crate::events::TraceContext;
use crate::telemetry::export::{SPAN_FRAMING_BYTES, SpanEnvelope};

/// The most ended spans that one run keeps in memory. A run of 100 turns makes fewer.
pub(super) const MAX_SPANS: usize = 2048;
/// The most encoded bytes of ended spans that one run keeps in memory: 8 MiB.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Who made a span. Each has room of its own and costs the others none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// The run.
    Run,
    /// Its target, for a call that the run made.
    Target,
    /// Somebody who has the run's trace id, and of whom no more is known.
    Stranger,
}

impl Maker {
    /// The most spans of it that are kept: as many as one run takes in all, so that only their bytes are too many between two
    /// deliveries.
    pub(super) fn most_spans(self) -> usize {
        match self {
            Self::Run => MAX_SPANS,
            Self::Target => 4096,
            Self::Stranger => 512,
        }
    }

    /// The most bytes of them that are kept, with what is around them.
    pub(super) fn most_bytes(self) -> usize {
        match self {
            Self::Run => MAX_BYTES,
            Self::Target => 4 * 1024 * 1024,
            Self::Stranger => 1024 * 1024,
        }
    }
}

/// Ended spans, oldest first. When it is full the oldest go, because the verdict and the root come last.
#[derive(Debug)]
pub(super) struct SpanBuffer {
    /// False where there is no endpoint: nothing is kept that nobody will take.
    keep: bool,
    ended: Mutex<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    spans: VecDeque<SizedSpan>,
    own: Amount,
    targets: Amount,
    strangers: Amount,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Amount {
    spans: usize,
    bytes: usize,
}

/// A span and the size that it has in a request, framing included.
#[derive(Debug)]
pub(super) struct SizedSpan {
    pub(super) span: WireSpan,
    pub(super) bytes: usize,
    /// In what it came, if somebody sent it; the run's own spans have the run's envelope.
    pub(super) envelope: Option<Arc<SpanEnvelope>>,
    pub(super) maker: Maker,
    /// What it counts for here: its bytes, and those of its envelope if it is the first that has it.
    pub(super) weight: usize,
}

impl SpanBuffer {
    pub(super) fn new(keep: bool) -> Arc<Self> {
        Arc::new(Self { keep, ended: Mutex::default() })
    }

    /// Spans that were dropped because the buffer was full.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().spans.is_empty()
    }

    /// Takes every span out. What the guard still holds when it is dropped goes back, so a delivery may be cancelled.
    pub(super) fn take(&self) -> Taken<'_> {
        let mut ended = self.lock();
        (ended.own, ended.targets, ended.strangers) = Default::default();
        Taken {
            waiting: std::mem::take(&mut ended.spans),
            sending: Vec::new(),
            failed: VecDeque::new(),
            buffer: self,
        }
    }

    fn push(&self, span: WireSpan) {
        if self.keep {
            let bytes = span.encoded_len() + SPAN_FRAMING_BYTES;
            let mut ended = self.lock();
            let sized = SizedSpan { span, bytes, envelope: None, maker: Maker::Run, weight: bytes };
            ended.add(sized, VecDeque::push_back);
            ended.shed();
        }
    }

    /// Takes a span that somebody sent, and gives it back if there is no room for it now.
    pub(super) fn push_received(
        &self,
        span: WireSpan,
        envelope: &Arc<SpanEnvelope>,
        maker: Maker,
    ) -> Option<WireSpan> {
        let bytes = span.encoded_len() + SPAN_FRAMING_BYTES;
        let mut ended = self.lock();
        let last = ended.spans.back().and_then(|last| last.envelope.as_ref());
        let is_there = last.is_some_and(|last| Arc::ptr_eq(last, envelope));
        let weight = if is_there { bytes } else { bytes + envelope.size() };
        let amount = ended.amount(maker);
        if amount.spans >= maker.most_spans() || amount.bytes + weight > maker.most_bytes() {
            return Some(span);
        }
        if self.keep {
            let sized = SizedSpan { span, bytes, envelope: Some(Arc::clone(envelope)), maker, weight };
            ended.add(sized, VecDeque::push_back);
        }
        None
    }

    fn put_back(&self, spans: impl DoubleEndedIterator<Item = SizedSpan>) {
        let mut ended = self.lock();
        for span in spans.rev() {
            ended.add(span, VecDeque::push_front);
        }
        ended.shed();
    }

    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    fn add(&mut self, span: SizedSpan, push: fn(&mut VecDeque<SizedSpan>, SizedSpan)) {
        let amount = self.amount(span.maker);
        amount.spans += 1;
        amount.bytes += span.weight;
        push(&mut self.spans, span);
    }

    fn amount(&mut self, maker: Maker) -> &mut Amount {
        match maker {
            Maker::Run => &mut self.own,
            Maker::Target => &mut self.targets,
            Maker::Stranger => &mut self.strangers,
        }
    }

    fn shed(&mut self) {
        while self.own.spans > MAX_SPANS || self.own.bytes > MAX_BYTES {
            let place = self.spans.iter().position(|span| span.maker == Maker::Run);
            let Some(oldest) = place.and_then(|place| self.spans.remove(place)) else { return };
            self.own.spans -= 1;
            self.own.bytes -= oldest.bytes;
            self.dropped += 1;
        }
    }
}

/// Spans on their way out.
pub(super) struct Taken<'a> {
    buffer: &'a SpanBuffer,
    failed: VecDeque<SizedSpan>,
    sending: Vec<SizedSpan>,
    waiting: VecDeque<SizedSpan>,
}

impl Taken<'_> {
    /// The next spans that fit in `limit` bytes, framing included, at least one; `None` when all were looked at.
    pub(super) fn next_batch(&mut self, limit: usize) -> Option<&mut [SizedSpan]> {
        let mut room = limit;
        while let Some(next) = self.waiting.front() {
            let bytes = next.bytes + self.new_envelope(next);
            if bytes > room && !self.sending.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            self.sending.extend(self.waiting.pop_front());
        }
        (!self.sending.is_empty()).then_some(&mut self.sending)
    }

    /// Bytes of the envelope that comes into the batch with `next`.
    fn new_envelope(&self, next: &SizedSpan) -> usize {
        let Some(envelope) = &next.envelope else { return 0 };
        let is_same = |other: &Arc<SpanEnvelope>| Arc::ptr_eq(other, envelope);
        let is_there = self.sending.iter().rev().filter_map(|span| span.envelope.as_ref()).any(is_same);
        if is_there { 0 } else { envelope.size() }
    }

    /// Spans of the batch.
    pub(super) fn batch_len(&self) -> u64 {
        self.sending.len() as u64
    }

    /// The batch is taken apart again: the next one may be smaller.
    pub(super) fn unpack_batch(&mut self) {
        for span in self.sending.drain(..).rev() {
            self.waiting.push_front(span);
        }
    }

    /// The batch is done with: taken by the endpoint, or refused in a way that forbids sending it again.
    pub(super) fn settle_batch(&mut self) -> u64 {
        self.sending.drain(..).len() as u64
    }

    /// The batch did not arrive; it is kept.
    pub(super) fn fail_batch(&mut self) {
        self.failed.extend(self.sending.drain(..));
    }

    /// Gives up what is left and says how many spans that were.
    pub(super) fn give_up(mut self) -> u64 {
        self.fail_batch();
        let count = self.failed.len() + self.waiting.len();
        self.failed.clear();
        self.waiting.clear();
        count as u64
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.fail_batch();
        let left = std::mem::take(&mut self.failed).into_iter().chain(std::mem::take(&mut self.waiting));
        self.buffer.put_back(left);
    }
}

/// Brings ended spans into the buffer. It exports nothing, so the SDK never blocks and never reaches the network.
#[derive(Debug)]
pub(super) struct IntoBuffer {
    buffer: Arc<SpanBuffer>,
    /// What of the conversation comes in.
    capture: ContentCapture,
    /// The caller's span, whose `tracestate` the SDK is not told of.
    caller: Option<TraceContext>,
}

impl IntoBuffer {
    pub(super) fn new(
        buffer: &Arc<SpanBuffer>,
        capture: ContentCapture,
        caller: Option<TraceContext>,
    ) -> Self {
        Self { buffer: Arc::clone(buffer), capture, caller }
    }

    /// `span` with the caller's state, where it or what it links to is of the caller's trace.
    fn stated(&self, mut span: WireSpan) -> WireSpan {
        if let Some(caller) = &self.caller {
            if span.trace_id == caller.trace_id {
                span.trace_state.clone_from(&caller.state);
            }
            for link in span.links.iter_mut().filter(|link| link.trace_id == caller.trace_id) {
                link.trace_state.clone_from(&caller.state);
            }
        }
        span
    }
}

impl SpanProcessor for IntoBuffer {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        let span = self.stated(span.into());
        self.buffer.push(fitting(match self.capture {
            ContentCapture::Full => span,
            ContentCapture::Metadata => without_words(span),
        }));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::export::ResourceEnvelope;

    fn span(name: &str) -> WireSpan {
        WireSpan { name: name.to_owned(), ..WireSpan::default() }
    }

    fn names(taken: &mut Taken<'_>, limit: usize) -> Vec<String> {
        taken.next_batch(limit).map(|b| b.iter().map(|s| s.span.name.clone()).collect()).unwrap_or_default()
    }

    #[test]
    fn a_full_buffer_drops_the_oldest_and_counts_them() {
        let buffer = SpanBuffer::new(true);
        for n in 0..=MAX_SPANS {
            buffer.push(span(&n.to_string()));
        }
        assert_eq!(buffer.dropped(), 1);
        assert_eq!(names(&mut buffer.take(), 1), ["1"]);
        let large = "x".repeat(MAX_BYTES / 2);
        for _ in 0..2 {
            buffer.push(span(&large));
        }
        assert_eq!(buffer.take().next_batch(usize::MAX).unwrap().len(), 1);
    }

    #[test]
    fn each_maker_of_spans_has_room_of_its_own_and_costs_the_others_none() {
        let buffer = SpanBuffer::new(true);
        let envelope = Arc::new(SpanEnvelope::default());
        buffer.push(span("mine"));
        for maker in [Maker::Stranger, Maker::Target] {
            let push = |_: &usize| buffer.push_received(span("its"), &envelope, maker).is_none();
            assert_eq!((0..=MAX_SPANS * 2).filter(push).count(), maker.most_spans());
        }
        let mut all = buffer.take();
        assert_eq!(all.next_batch(usize::MAX).unwrap().len(), 1 + 4096 + 512);
        drop(all);
        for _ in 0..=MAX_SPANS {
            buffer.push(span("mine"));
        }
        assert_eq!(buffer.dropped(), 2);
        assert!(
            buffer.push_received(span("its"), &envelope, Maker::Target).is_some(),
            "they are there again"
        );
        buffer.take().give_up();
        assert!(buffer.push_received(span("its"), &envelope, Maker::Target).is_none(), "they are gone");
    }

    #[test]
    fn what_is_around_spans_takes_room_once() {
        let buffer = SpanBuffer::new(true);
        let resource = Arc::new(ResourceEnvelope::received(None, "x".repeat(64 * 1024)));
        let mut envelopes =
            std::iter::repeat_with(|| Arc::new(SpanEnvelope::received(&resource, None, String::new())));
        let one = envelopes.next().unwrap();
        let push = |envelope: &Arc<SpanEnvelope>| {
            buffer.push_received(span("its"), envelope, Maker::Target).is_none()
        };
        assert_eq!((0..1000).filter(|_| push(&one)).count(), 1000);
        assert_eq!(envelopes.take(1000).filter(push).count(), 62, "4 MiB hold 63 of them, and the spans");
    }

    #[test]
    fn a_cancelled_delivery_puts_everything_back_in_order() {
        let buffer = SpanBuffer::new(true);
        for name in ["a", "b", "c"] {
            buffer.push(span(name));
        }
        let mut taken = buffer.take();
        assert_eq!(names(&mut taken, 1), ["a"]);
        taken.fail_batch();
        assert_eq!(names(&mut taken, usize::MAX), ["b", "c"]);
        taken.unpack_batch();
        assert_eq!(names(&mut taken, 1), ["b"]);
        drop(taken);
        buffer.push(span("d"));
        assert_eq!(names(&mut buffer.take(), usize::MAX), ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_was_delivered_does_not_come_back() {
        let buffer = SpanBuffer::new(true);
        buffer.push(span("a"));
        buffer.push(span("b"));
        let mut taken = buffer.take();
        names(&mut taken, 1);
        assert_eq!(taken.settle_batch(), 1);
        drop(taken);
        assert_eq!(names(&mut buffer.take(), usize::MAX), ["b"]);
        assert_eq!(buffer.take().give_up(), 1);
        assert_eq!(buffer.take().give_up(), 0);
    }
}
