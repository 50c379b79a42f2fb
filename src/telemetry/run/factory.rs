//! Starts the traces of runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::buffer::SpanBuffer;
use super::delivery::{Delivery, NoDestination};
use super::describe::{resource, root, scope};
use super::recorder::Recorder;
use super::trace::Trace;
use crate::definitions::TelemetryDestination;
use crate::execution::ports::{RunTrace, RunTracers};
use crate::execution::types::TraceSpec;
use crate::telemetry::export::{Destination, OtlpSender, SpanEnvelope};
use crate::telemetry::metrics::Metrics;

/// Makes one isolated trace for each run.
#[derive(Debug, Clone)]
pub struct RunTracerFactory {
    sender: OtlpSender,
    default_destination: Option<TelemetryDestination>,
    deadline: Duration,
    metrics: Metrics,
    hurry: CancellationToken,
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
        Self { sender, default_destination, deadline, metrics, hurry: CancellationToken::new() }
    }

    /// Deliveries at the end of a run have only [`super::LAST_DELIVERY`] left once `hurry` fires, because the worker stops.
    #[must_use]
    pub fn hurried_by(self, hurry: CancellationToken) -> Self {
        Self { hurry, ..self }
    }

    fn destination(&self, spec: &TraceSpec) -> Result<Destination, NoDestination> {
        let named = spec.destination.as_ref().or(self.default_destination.as_ref());
        let project = &spec.request.key.project;
        let named = named.ok_or_else(|| NoDestination::NotConfigured(project.to_string()))?;
        Ok(Destination::parse(named)?)
    }
}

impl RunTracers for RunTracerFactory {
    fn start(&self, spec: TraceSpec) -> Box<dyn RunTrace> {
        let resource = resource(&spec);
        let destination = self.destination(&spec);
        let envelope = SpanEnvelope::new(&resource, &scope());
        let buffer = SpanBuffer::new(destination.is_ok());
        let recorder = Recorder::new(&spec, resource, buffer);
        let root = recorder.begin_root(&spec, root(&spec));
        let key = spec.request.key.clone();
        let (sender, metrics, hurry) = (self.sender.clone(), self.metrics.clone(), self.hurry.clone());
        let delivery = Delivery::new(key, destination, envelope, sender, metrics, hurry);
        Box::new(Trace::new(recorder, root, delivery, self.deadline, spec.earlier))
    }
}
