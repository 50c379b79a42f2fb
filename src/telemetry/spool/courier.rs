//! Brings parcels to the endpoints of their projects.

use std::sync::Arc;
use std::time::Duration;

use super::{Parcel, Settled};
use crate::definitions::TelemetryDestination;
use crate::events::{DeliveryFailureKind, ProjectId};
use crate::execution::failure::Unavailable;
use crate::execution::ports::ProjectRepository;
use crate::telemetry::export::{
    Accepted, Attempts, Destination, ExportError, InvalidDestination, OtlpSender, Packed,
};
use crate::telemetry::metrics::{Metrics, SpanLoss};

/// Time for sending a parcel for the first time, retries included. Another attempt comes later, so it is short.
pub const SEND_TIME: Duration = Duration::from_secs(15);
/// Time for one that was tried often. Whoever has a notice has to be done with it before it is another worker's.
const LONGEST_SEND_TIME: Duration = Duration::from_secs(45);

/// Time for sending a parcel the `attempt`th time (from 1): an endpoint that needs longer than the first is served in the end.
#[must_use]
pub fn send_time(attempt: u64) -> Duration {
    let times = u32::try_from(attempt).unwrap_or(u32::MAX).max(1);
    SEND_TIME.saturating_mul(times).min(LONGEST_SEND_TIME)
}

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
    /// Sends a parcel to its project's endpoint, which has `time` to take it.
    ///
    /// # Errors
    /// [`NotDelivered`] if it has to be tried again.
    pub async fn deliver(
        &self,
        parcel: &Parcel,
        body: Packed,
        time: Duration,
    ) -> Result<Settled, NotDelivered> {
        let project = &parcel.ids.project_id;
        let destination = self.destination(project).await?;
        let sent = self.sender.send_packed(project, &destination, body, time, Attempts::Patient).await;
        match sent {
            Ok(Accepted { warning }) => Ok(self.exported(parcel, warning)),
            Err(error) => {
                self.metrics.export_failed(error.kind().as_str());
                let Some(refused) = error.refused(parcel.spans) else { return Err(error.into()) };
                Ok(self.refused(parcel, &error, refused))
            }
        }
    }

    fn exported(&self, parcel: &Parcel, warning: Option<String>) -> Settled {
        self.metrics.spans_exported(parcel.spans);
        if let Some(warning) = warning {
            tracing::info!(
                project = %parcel.ids.project_id, run = %parcel.ids.scenario_run_id, warning,
                "an endpoint took spooled spans and had something to say about them"
            );
        }
        Settled { exported: parcel.spans, ..Settled::default() }
    }

    /// `count` of them are never sent again.
    fn refused(&self, parcel: &Parcel, error: &ExportError, count: u64) -> Settled {
        tracing::warn!(
            project = %parcel.ids.project_id, run = %parcel.ids.scenario_run_id, spans = count,
            kind = error.kind().as_str(), status = error.status(), "spooled spans are not sent again"
        );
        let exported = parcel.spans - count;
        let (rejected, undelivered) = if error.is_refusal() { (count, 0) } else { (0, count) };
        self.metrics.spans_exported(exported);
        self.metrics.spans_dropped(SpanLoss::Rejected, rejected);
        self.metrics.spans_dropped(SpanLoss::Undelivered, undelivered);
        let mut failures = Vec::new();
        error.reason().blame(&mut failures, count);
        Settled { exported, rejected, undelivered, failures }
    }

    async fn destination(&self, project: &ProjectId) -> Result<Destination, NotDelivered> {
        let definition = self.projects.project(project).await?;
        let named =
            definition.and_then(|project| project.telemetry).or_else(|| self.default_destination.clone());
        let named = named.ok_or_else(|| NotDelivered::NoEndpoint(project.clone()))?;
        Ok(Destination::parse(&named)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gets_more_time_with_every_attempt_and_not_for_ever() {
        let seconds = [0, 1, 2, 3, 4, u64::MAX].map(|attempt| send_time(attempt).as_secs());
        assert_eq!(seconds, [15, 15, 30, 45, 45, 45]);
    }
}
