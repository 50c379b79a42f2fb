//! Heartbeats and the end of a lease.

use std::cell::Cell;
use std::time::Duration;

use scenario_worker::events::{ProjectId, RunId, RunKey, RunStatus};
use scenario_worker::queue::{Claim, Lease, RunStates, SettleError};
use time::OffsetDateTime;

use super::{Broker, text, until, within};
use crate::support::nats::NatsServer;

const ACK_WAIT_SECONDS: u64 = 2;

#[tokio::test]
async fn heartbeats_keep_a_delivery_beyond_ack_wait_and_without_them_it_moves_on() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("kept").await;
    let mut consuming = broker.consume(2);
    let (kept, _slot) = consuming.next().await;
    let lease = Lease::hold(&kept, broker.settings.consumer.heartbeat(), || true);
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
    let lease = Lease::hold(&delivery, broker.settings.consumer.heartbeat(), || true);
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.delete_consumer("scenario-workers").await.unwrap();
    within(lease.lost().cancelled()).await;
    assert!(broker.connection.lease_misses.count() > 0, "no heartbeat was counted as missed");
    assert!(matches!(delivery.ack().await, Err(SettleError::LeaseOver { .. })));
}

#[tokio::test]
async fn what_is_stuck_loses_its_lease_and_moves_on() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("stuck").await;
    let mut consuming = broker.consume(2);
    let (stuck, _slot) = consuming.next().await;
    let lease = Lease::hold(&stuck, broker.settings.consumer.heartbeat(), || false);
    within(lease.lost().cancelled()).await;
    let (again, _other) = consuming.next().await;
    assert_eq!((text(&again).as_str(), again.deliveries()), ("stuck", 2));
    again.ack().await.unwrap();
    stuck.abandon();
    consuming.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_lost_when_the_broker_is_gone() {
    let mut server = NatsServer::start();
    let broker =
        Broker::on(server.account(0), |settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let lease = Lease::hold(&delivery, broker.settings.consumer.heartbeat(), || true);
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

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_and_its_ack_survive_a_broker_that_is_killed_and_comes_back() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let key = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r1").unwrap() };
    let claim =
        states.claim(&key, delivery.stream_sequence(), 1, 5, OffsetDateTime::now_utc()).await.unwrap();
    let Claim::Granted(run) = claim else { panic!("not granted: {claim:?}") };
    server.kill_and_restart();
    until(async || !broker.connection.is_connected()).await;
    run.finish(RunStatus::Success, Duration::from_hours(1)).await.unwrap();
    delivery.ack().await.unwrap();
    assert!(matches!(states.claim(&key, 1, 1, 5, OffsetDateTime::now_utc()).await.unwrap(), Claim::Finished));
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 0);
    consuming.stop().await;
}

#[tokio::test]
async fn a_lease_is_confirmed_long_before_its_first_heartbeat_is_due() {
    let broker = Broker::new().await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let lease = Lease::hold(&delivery, Duration::from_hours(1), || true);
    assert!(within(lease.confirmed()).await);
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_lease_that_nobody_confirms_is_none() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    broker.connection.jetstream.delete_stream("SCENARIO_REQUESTS").await.unwrap();
    let lease = Lease::hold(&delivery, Duration::from_hours(1), || true);
    assert!(!within(lease.confirmed()).await && !lease.holds());
    delivery.abandon();
}

#[tokio::test]
async fn what_fails_by_an_outage_is_attempted_for_as_long_as_the_lease_lasts() {
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = ACK_WAIT_SECONDS).await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let lease = Lease::hold(&delivery, broker.settings.consumer.heartbeat(), || true);
    let attempts = Cell::new(0);
    let attempt = |good_at: u32| {
        let attempts = &attempts;
        move || {
            attempts.set(attempts.get() + 1);
            std::future::ready(if attempts.get() == good_at { Ok(()) } else { Err(attempts.get()) })
        }
    };
    assert_eq!(lease.insist(|_| true, attempt(4)).await, Ok(()));
    assert_eq!(lease.insist(|_| false, attempt(0)).await, Err(5), "another failure is final");
    broker.connection.jetstream.delete_stream("SCENARIO_REQUESTS").await.unwrap();
    assert!(within(lease.insist(|_| true, attempt(0))).await.is_err());
    assert!(!lease.holds());
    delivery.abandon();
}
