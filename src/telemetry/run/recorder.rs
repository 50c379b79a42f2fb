//! Makes and ends the spans of one run.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanLimits};

use super::buffer::{IntoBuffer, SpanBuffer};
use super::describe::{Circumstances, Closing, Opening, Work, abandoned, closing, common, note, scope};
use super::identity::RunIds;
use super::inbox::Inbox;
use super::span::SpanHandle;
use crate::definitions::ContentCapture;
use crate::events::{TraceContext, TraceContextMode};
use crate::execution::types::{SpanEnd, SpanNote, TraceSpec};
use crate::telemetry::propagation::remote_span_context;

/// Limits of one span, given here because the SDK's defaults come from `OTEL_*` variables. Attributes are far fewer;
/// events leave room for a thousand criteria.
const LIMITS: SpanLimits = SpanLimits {
    max_events_per_span: 1024,
    max_attributes_per_span: 128,
    max_links_per_span: 16,
    max_attributes_per_event: 32,
    max_attributes_per_link: 16,
};

/// The spans of one run: those that are open, and the way to make more.
pub(super) struct Recorder {
    tracer: SdkTracer,
    buffer: Arc<SpanBuffer>,
    /// Is told of the spans below which the target may work.
    inbox: Option<Arc<Inbox>>,
    run_id: String,
    /// The `tracestate` of the trace that the run continues; empty if it continues none.
    state: String,
    common: Vec<KeyValue>,
    open: Mutex<Open>,
    made: AtomicU64,
    evaluated: AtomicBool,
}

/// The spans are here and not in their handles, so that the end of the run can end them too.
#[derive(Default)]
struct Open {
    spans: HashMap<SpanId, Span>,
    closed: bool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("made", &self.made()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder with a provider of its own. Sampler, ids, limits and resource are all explicit: each would otherwise
    /// come from the environment, or let a request's trace flags silence the run.
    pub(super) fn new(
        spec: &TraceSpec,
        resource: Resource,
        buffer: Arc<SpanBuffer>,
        inbox: Option<Arc<Inbox>>,
        capture: ContentCapture,
    ) -> Arc<Self> {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_id_generator(RunIds::new(&spec.request.key))
            .with_span_limits(LIMITS)
            .with_resource(resource)
            .with_span_processor(IntoBuffer::new(&buffer, capture, spec.request.parent.clone()))
            .build();
        Arc::new(Self {
            tracer: provider.tracer_with_scope(scope()),
            buffer,
            inbox,
            run_id: spec.request.key.run.to_string(),
            state: continued(spec).map(|parent| parent.state.clone()).unwrap_or_default(),
            common: common(spec),
            open: Mutex::default(),
            made: AtomicU64::new(0),
            evaluated: AtomicBool::new(false),
        })
    }

    /// Begins the root: a trace of its own that links to the request's span, or a child of it.
    pub(super) fn begin_root(self: &Arc<Self>, spec: &TraceSpec, opening: Opening) -> SpanHandle {
        let parent = spec.request.parent.as_ref().map(remote_span_context);
        match (parent, spec.request.trace_context_mode) {
            (Some(parent), TraceContextMode::Continue) => self.begin(&parent, Vec::new(), opening),
            (Some(parent), TraceContextMode::Link) => {
                self.begin(&SpanContext::NONE, vec![Link::with_context(parent)], opening)
            }
            (None, _) => self.begin(&SpanContext::NONE, Vec::new(), opening),
        }
    }

    /// Begins a span below another of this run. After the end of the run it makes none and passes the parent on.
    pub(super) fn begin(
        self: &Arc<Self>,
        parent: &SpanContext,
        links: Vec<Link>,
        opening: Opening,
    ) -> SpanHandle {
        let work = opening.work;
        let mut open = self.open();
        if open.closed {
            return SpanHandle::closed(Arc::clone(self), parent.clone(), work);
        }
        let builder = self.builder(links, opening);
        let span = self.tracer.build_with_context(builder, &below(parent));
        let context = span.span_context().clone();
        open.spans.insert(context.span_id(), span);
        if let Some(inbox) = &self.inbox {
            inbox.made(context.span_id(), work);
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        SpanHandle::open(Arc::clone(self), context, work)
    }

    /// Puts an event on a span that is open.
    pub(super) fn note(&self, span: SpanId, happened: &SpanNote) {
        if let Some(span) = self.open().spans.get_mut(&span) {
            let (name, attributes) = note(happened);
            span.add_event(name, attributes);
        }
    }

    /// Ends a span. It does nothing if the run ended it already.
    pub(super) fn end(&self, span: SpanId, work: Work, end: &SpanEnd, tokens_below: bool) {
        let judged = matches!(end, SpanEnd::Judged(_));
        let evaluated = judged && self.evaluated.swap(true, Ordering::Relaxed) && work == Work::Run;
        let circumstances = Circumstances { run_id: &self.run_id, tokens_below, evaluated };
        self.close_span(span, closing(end, circumstances));
    }

    /// Ends a span that nobody ended.
    pub(super) fn abandon(&self, span: SpanId) {
        self.close_span(span, abandoned());
    }

    /// Ends every open span but the root as abandoned and makes no new ones: the run is over. Answers how many it ended.
    pub(super) fn close_all_but(&self, root: SpanId) -> usize {
        let left = {
            let mut open = self.open();
            open.closed = true;
            let root = open.spans.remove_entry(&root);
            std::mem::replace(&mut open.spans, root.into_iter().collect())
        };
        let count = left.len();
        for span in left.into_values() {
            finish(span, abandoned());
        }
        count
    }

    /// Spans made so far.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inbox.as_ref()
    }

    pub(super) fn buffer(&self) -> &Arc<SpanBuffer> {
        &self.buffer
    }

    pub(super) fn run_id(&self) -> &str {
        &self.run_id
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    fn builder(&self, links: Vec<Link>, opening: Opening) -> SpanBuilder {
        let mut attributes = opening.attributes;
        attributes.extend(self.common.iter().cloned());
        let builder = SpanBuilder::from_name(opening.name)
            .with_kind(opening.kind)
            .with_links(links)
            .with_attributes(attributes);
        match opening.started_at {
            Some(at) => builder.with_start_time(at),
            None => builder,
        }
    }

    fn close_span(&self, span: SpanId, closing: Closing) {
        let span = self.open().spans.remove(&span);
        if let Some(span) = span {
            finish(span, closing);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The span below which the run stands, if it continues somebody else's trace.
fn continued(spec: &TraceSpec) -> Option<&TraceContext> {
    let continues = spec.request.trace_context_mode == TraceContextMode::Continue;
    spec.request.parent.as_ref().filter(|_| continues)
}

fn finish(mut span: Span, closing: Closing) {
    for (name, attributes) in closing.events {
        span.add_event(name, attributes);
    }
    span.set_attributes(closing.attributes);
    span.set_status(closing.status);
    span.end();
}

/// A context that holds nothing but the parent. It is passed to the tracer and to nobody else, and never attached.
fn below(parent: &SpanContext) -> Context {
    let empty = Context::new();
    if parent.is_valid() { empty.with_remote_span_context(parent.clone()) } else { empty }
}
