//! Starts the traces of runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::buffer::SpanBuffer;
use super::delivery::{Delivery, Means, NoDestination, Owner};
use super::describe::{is_name, resource, root, scope};
use super::identity::trace_id;
use super::inbox::Inbox;
use super::recorder::Recorder;
use super::span::SpanHandle;
use super::trace::Trace;
use crate::definitions::{ContentCapture, TelemetryDestination};
use crate::events::TraceContextMode;
use crate::execution::ports::{RunTrace, RunTracers};
use crate::execution::types::TraceSpec;
use crate::telemetry::export::{Destination, OtlpSender, SpanEnvelope};
use crate::telemetry::ingress::{Hub, Recipient, Registration};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::propagation::trace_context;
use crate::telemetry::spool::SpanSpool;

/// Makes one isolated trace for each run.
#[derive(Clone)]
pub struct RunTracerFactory {
    means: Means,
    default_destination: Option<TelemetryDestination>,
    deadline: Duration,
    capture: ContentCapture,
    /// Where spans of targets come in, and how long a run waits for those of one call.
    receiving: Option<(Hub, Duration)>,
}

impl RunTracerFactory {
    /// Sends through `sender`; runs whose project names no endpoint go to `default_destination`. At its end a run
    /// waits for its delivery no longer than `deadline`.
    #[must_use]
    pub fn new(
        sender: OtlpSender,
        default_destination: Option<TelemetryDestination>,
        deadline: Duration,
        metrics: Metrics,
    ) -> Self {
        let means = Means { sender, spool: None, metrics, hurry: CancellationToken::new() };
        Self { means, default_destination, deadline, capture: ContentCapture::default(), receiving: None }
    }

    /// Deliveries at the end of a run have only [`super::LAST_DELIVERY`] left once `hurry` fires, because the worker stops.
    #[must_use]
    pub fn hurried_by(mut self, hurry: CancellationToken) -> Self {
        self.means.hurry = hurry;
        self
    }

    /// What an endpoint does not take is kept in `spool`.
    #[must_use]
    pub fn spooling_to(mut self, spool: Arc<dyn SpanSpool>) -> Self {
        self.means.spool = Some(spool);
        self
    }

    /// Runs take the spans that their targets send to `hub`, and wait for those of one call for `patience`.
    #[must_use]
    pub fn receiving(self, hub: Hub, patience: Duration) -> Self {
        Self { receiving: Some((hub, patience)), ..self }
    }

    /// What spans say of the conversation, where the project does not say so itself.
    #[must_use]
    pub fn capturing(self, capture: ContentCapture) -> Self {
        Self { capture, ..self }
    }

    fn destination(&self, spec: &TraceSpec) -> Result<Destination, NoDestination> {
        let named = spec.destination.as_ref().or(self.default_destination.as_ref());
        let project = &spec.request.key.project;
        let named = named.ok_or_else(|| NoDestination::NotConfigured(project.to_string()))?;
        Ok(Destination::parse(named)?)
    }

    fn inbox(&self, spec: &TraceSpec, buffer: &Arc<SpanBuffer>) -> Option<(Arc<Inbox>, Registration)> {
        let (hub, patience) = self.receiving.as_ref()?;
        let request = &spec.request;
        let owns = request.parent.is_none() || request.trace_context_mode == TraceContextMode::Link;
        let inbox = Inbox::new(owns, *patience, Arc::clone(buffer), self.means.metrics.clone());
        let registration = hub.register(trace_id(request), Arc::clone(&inbox) as Arc<dyn Recipient>);
        Some((inbox, registration))
    }

    fn capture(&self, spec: &TraceSpec) -> ContentCapture {
        spec.destination.as_ref().and_then(|destination| destination.capture).unwrap_or(self.capture)
    }
}

impl RunTracers for RunTracerFactory {
    fn start(&self, mut spec: TraceSpec) -> Box<dyn RunTrace> {
        let capture = self.capture(&spec);
        if capture == ContentCapture::Metadata {
            // The resource is about all spans, and is not one of them.
            spec.labels.retain(|label| is_name(label));
        }
        let resource = resource(&spec);
        let destination = self.destination(&spec);
        let envelope = SpanEnvelope::new(&resource, &scope());
        let buffer = SpanBuffer::new(destination.is_ok());
        let (inbox, registration) = self.inbox(&spec, &buffer).unzip();
        let recorder = Recorder::new(&spec, resource, buffer, inbox, capture);
        let root = recorder.begin_root(&spec, root(&spec));
        let owner = owner(&spec, &root, recorder.state());
        let delivery = Delivery::new(owner, destination, envelope, self.means.clone());
        Box::new(Trace::new(recorder, root, delivery, self.deadline, spec.earlier, registration))
    }
}

fn owner(spec: &TraceSpec, root: &SpanHandle, state: &str) -> Owner {
    let context = root.span_context();
    Owner {
        key: spec.request.key.clone(),
        ids: spec.request.ids(),
        trace_id: context.trace_id().to_string(),
        context: spec.request.parent.is_some().then(|| trace_context(context, state)),
    }
}
