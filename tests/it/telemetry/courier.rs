//! Spooled spans on their way to their endpoint.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::definitions::Project;
use scenario_worker::events::{DeliveryFailureKind as Kind, ProjectId};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::ports::ProjectRepository;
use scenario_worker::telemetry::export::{OtlpSender, Packed};
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::spool::{Courier, NotDelivered, Parcel, SEND_TIME};

use super::play::{SPANS, destination, factory_with, run, spec};
use crate::support::egress;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::span_spool::MemorySpool;

/// Nobody names an endpoint of their own.
struct NoProjects;

#[async_trait]
impl ProjectRepository for NoProjects {
    async fn project(&self, _: &ProjectId) -> Result<Option<Project>, Unavailable> {
        Ok(None)
    }
}

/// The parcel of a run whose endpoint refused it.
async fn parcel() -> (Parcel, Packed) {
    let receiver = OtlpReceiver::start(Mode::Refuse(401)).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(Duration::from_secs(8), Metrics::new().unwrap()).spooling_to(spool.clone());
    run(&factory, spec("acme", "r1", Some(destination(&receiver, "k")))).await;
    spool.parcels().pop().unwrap()
}

fn courier(receiver: &OtlpReceiver) -> Courier {
    Courier {
        sender: OtlpSender::new(egress::open()),
        projects: Arc::new(NoProjects),
        default_destination: Some(destination(receiver, "k")),
        metrics: Metrics::new().unwrap(),
    }
}

#[tokio::test]
async fn an_endpoint_that_needs_long_takes_a_parcel_when_it_is_given_the_time() {
    let (parcel, body) = parcel().await;
    let receiver = OtlpReceiver::start(Mode::Slow(Duration::from_secs(2))).await;
    let courier = courier(&receiver);
    let hurried = courier.deliver(&parcel, body.clone(), Duration::from_millis(200)).await;
    assert!(matches!(hurried, Err(NotDelivered::Endpoint(_))), "{hurried:?}");
    let settled = courier.deliver(&parcel, body, SEND_TIME).await.unwrap();
    assert_eq!((settled.exported, receiver.spans().len() as u64), (SPANS, SPANS));
}

#[tokio::test]
async fn what_is_refused_for_good_is_settled_with_its_reason() {
    let (parcel, body) = parcel().await;
    for (mode, rejected, undelivered, kind) in [
        (Mode::PartialJson(3), 3, 0, Kind::Partial),
        (Mode::Refuse(400), SPANS, 0, Kind::Status),
        (Mode::Chatty(2 * 1024 * 1024), 0, SPANS, Kind::AnswerTooLarge),
    ] {
        let receiver = OtlpReceiver::start(mode).await;
        let settled = courier(&receiver).deliver(&parcel, body.clone(), SEND_TIME).await.unwrap();
        let exported = SPANS - rejected - undelivered;
        assert_eq!(
            (settled.exported, settled.rejected, settled.undelivered),
            (exported, rejected, undelivered)
        );
        let [only] = settled.failures.as_slice() else { panic!("{settled:?}") };
        assert_eq!((only.kind, only.spans), (kind, rejected + undelivered));
    }
}
