//! Heartbeats and the end of a lease.

use std::time::Duration;

use scenario_worker::queue::{Lease, SettleError};

use super::{Broker, text, within};
use crate::support::nats::NatsServer;

const ACK_WAIT_SECONDS: u64 = 2;

#[tokio::test]
async fn heartbeats_keep_a_delivery_beyond_ack_wait_and_without_them_it_moves_on() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("kept").await;
    let mut consuming = broker.consume(2);
    let (kept, _slot) = consuming.next().await;
    let lease = Lease::hold(&kept, broker.settings.consumer.heartbeat());
    broker.publish("let go").await;
    let (let_go, other_slot) = consuming.next().await;
    assert_eq!(text(&let_go), "let go");
    drop(other_slot);
    // What has no lease comes back twice while what has one does not: two times `ack_wait` are over then.
    for delivery in 2..=3 {
        let (again, slot) = consuming.next().await;
        assert_eq!((text(&again).as_str(), again.deliveries()), ("let go", delivery));
        drop((again, slot));
    }
    assert!(!lease.lost().is_cancelled());
    kept.ack().await.unwrap();
    let stale = let_go.ack().await.unwrap_err();
    assert!(matches!(stale, SettleError::LeaseOver { .. }), "{stale}");
    consuming.stop().await;
}

#[tokio::test]
async fn a_lease_is_lost_when_the_server_confirms_no_more() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let lease = Lease::hold(&delivery, broker.settings.consumer.heartbeat());
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.delete_consumer("scenario-workers").await.unwrap();
    within(lease.lost().cancelled()).await;
    assert!(matches!(delivery.ack().await, Err(SettleError::LeaseOver { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_lost_when_the_broker_is_gone() {
    let mut server = NatsServer::start();
    let broker =
        Broker::on(server.account(0), |settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let lease = Lease::hold(&delivery, broker.settings.consumer.heartbeat());
    server.kill();
    within(lease.lost().cancelled()).await;
    assert!(delivery.nak(Some(Duration::ZERO)).await.is_err());
}

#[tokio::test]
async fn settling_where_nobody_confirms_is_an_error() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    broker.connection.jetstream.delete_stream("SCENARIO_REQUESTS").await.unwrap();
    let error = within(delivery.ack()).await.unwrap_err();
    assert!(matches!(error, SettleError::Unconfirmed { .. }), "{error}");
}
