//! Brings parcels to the endpoints of their projects.

use std::sync::Arc;
use std::time::Duration;

use super::{Parcel, Settled};
use crate::definitions::TelemetryDestination;
use crate::events::{DeliveryFailureKind, ProjectId};
use crate::execution::failure::Unavailable;
use crate::execution::ports::ProjectRepository;
use crate::telemetry::export::{Destination, ExportError, InvalidDestination, OtlpSender, Packed};
use crate::telemetry::metrics::{Metrics, SpanLoss};

/// Time for sending one parcel, retries included. Another attempt comes later, so it is short.
pub const SEND_TIME: Duration = Duration::from_secs(15);

/// Why a parcel is not delivered yet.
#[derive(Debug, thiserror::Error)]
pub enum NotDelivered {
    /// The project's definition cannot be read.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Neither the project nor the worker names an endpoint.
    #[error("no telemetry endpoint is configured for project {0}")]
    NoEndpoint(ProjectId),
    /// The endpoint cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidDestination),
    /// The endpoint did not take it.
    #[error(transparent)]
    Endpoint(#[from] ExportError),
}

impl NotDelivered {
    /// How long the endpoint asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Endpoint(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The kind, for a log: the whole text may repeat what an endpoint echoes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::NoEndpoint(_) => DeliveryFailureKind::NoEndpoint.as_str(),
            Self::Invalid(_) => DeliveryFailureKind::InvalidDestination.as_str(),
            Self::Endpoint(error) => error.kind().as_str(),
        }
    }
}

/// Sends parcels. Where to is looked up for each: by the project whose spans they are, and by nothing else.
#[derive(Clone)]
pub struct Courier {
    /// Posts.
    pub sender: OtlpSender,
    /// Knows the endpoints.
    pub projects: Arc<dyn ProjectRepository>,
    /// Where spans go whose project names no endpoint.
    pub default_destination: Option<TelemetryDestination>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Courier {
    /// Sends a parcel to its project's endpoint.
    ///
    /// # Errors
    /// [`NotDelivered`] if it has to be tried again.
    pub async fn deliver(&self, parcel: &Parcel, body: Packed) -> Result<Settled, NotDelivered> {
        let destination = self.destination(&parcel.ids.project_id).await?;
        let Err(error) = self.sender.send_packed(&destination, body, SEND_TIME).await else {
            self.metrics.spans_exported(parcel.spans);
            return Ok(Settled { exported: parcel.spans, ..Settled::default() });
        };
        self.metrics.export_failed(error.kind().as_str());
        let Some(rejected) = error.refused(parcel.spans) else { return Err(error.into()) };
        tracing::warn!(
            project = %parcel.ids.project_id, run = %parcel.ids.scenario_run_id, rejected,
            kind = error.kind().as_str(), status = error.status(),
            "an endpoint refuses spooled spans for good"
        );
        let exported = parcel.spans - rejected;
        self.metrics.spans_exported(exported);
        self.metrics.spans_dropped(SpanLoss::Rejected, rejected);
        Ok(Settled { exported, rejected, undelivered: 0 })
    }

    async fn destination(&self, project: &ProjectId) -> Result<Destination, NotDelivered> {
        let definition = self.projects.project(project).await?;
        let named =
            definition.and_then(|project| project.telemetry).or_else(|| self.default_destination.clone());
        let named = named.ok_or_else(|| NotDelivered::NoEndpoint(project.clone()))?;
        Ok(Destination::parse(&named)?)
    }
}
