//! The pull loop.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use scenario_worker::queue::ConsumerError;

use super::{Broker, text, until, within};
use crate::support::nats::NatsServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_never_holds_more_than_its_slots() {
    const SLOTS: usize = 3;
    const MESSAGES: usize = 30;
    let broker = Broker::new().await;
    for n in 0..MESSAGES {
        broker.publish(&n.to_string()).await;
    }
    let mut consuming = broker.consume(SLOTS);
    let mut held = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..MESSAGES {
        held.push(consuming.next().await);
        if held.len() == SLOTS {
            assert_eq!(broker.ack_pending().await, SLOTS, "the server counts what is held, and no more");
            let (delivery, slot) = held.remove(0);
            seen.insert(text(&delivery));
            delivery.ack().await.unwrap();
            drop(slot);
        }
    }
    for (delivery, _slot) in held {
        seen.insert(text(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen.len(), MESSAGES);
    assert_eq!(broker.ack_pending().await, 0);
    consuming.stop().await;
}

/// Where a worker asks for messages; everybody in its account can listen.
const PULLS: &str = "$JS.API.CONSUMER.MSG.NEXT.SCENARIO_REQUESTS.scenario-workers";

#[tokio::test]
async fn an_open_pull_takes_a_message_that_comes_late_and_pulls_follow_each_other() {
    let broker = Broker::with(|settings| settings.consumer.pull_expires_seconds = 1).await;
    let mut pulls = broker.connection.client.subscribe(PULLS).await.unwrap();
    let mut consuming = broker.consume(2);
    // The second pull opens when the first has expired.
    within(pulls.next()).await.unwrap();
    within(pulls.next()).await.unwrap();
    broker.publish("late").await;
    let (delivery, _slot) = consuming.next().await;
    assert_eq!((text(&delivery).as_str(), delivery.deliveries()), ("late", 1));
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn unused_slots_come_back_when_the_consumer_stops() {
    let broker = Broker::new().await;
    let consuming = broker.consume(5);
    let slots = consuming.slots.clone();
    until(async || slots.available_permits() == 0).await;
    consuming.stop().await;
    assert_eq!(slots.available_permits(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_swallows_no_message() {
    const ROUNDS: usize = 20;
    const MESSAGES: usize = 400;
    // Redelivery of a swallowed message would take longer than anything here waits.
    let broker = Broker::with(|settings| settings.consumer.ack_wait_seconds = 300).await;
    let publisher = broker.account.client().await;
    for round in 0..ROUNDS {
        let consuming = broker.consume(MESSAGES);
        until(async || broker.topology.requests.get_info().await.unwrap().num_waiting == 1).await;
        // A burst, so that messages are on their way at every moment of the stop.
        for n in 0..MESSAGES {
            publisher.publish("scenario.run.requested", format!("{round}/{n}").into()).await.unwrap();
        }
        until(async || !consuming.deliveries.is_empty()).await;
        let mut seen = HashSet::new();
        let mut first = consuming.stop().await;
        while let Some((delivery, _slot)) = first.recv().await {
            seen.insert(text(&delivery));
            delivery.ack().await.unwrap();
        }
        let mut second = broker.consume(MESSAGES);
        while seen.len() < MESSAGES {
            let (delivery, _slot) = second.next().await;
            seen.insert(text(&delivery));
            delivery.ack().await.unwrap();
        }
        second.stop().await;
    }
    assert_eq!(broker.ack_pending().await, 0);
}

#[tokio::test]
async fn a_delivery_says_what_it_is_and_the_same_on_each_delivery() {
    let broker = Broker::new().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", "acme:k");
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    headers.append("tracestate", "a=1");
    headers.append("tracestate", "b=2");
    let client = broker.account.client().await;
    client.publish_with_headers("scenario.run.requested.acme", headers, "x".into()).await.unwrap();
    let mut consuming = broker.consume(1);
    let (first, slot) = consuming.next().await;
    assert_eq!((first.subject(), first.message_id()), ("scenario.run.requested.acme", Some("acme:k")));
    assert_eq!(first.trace_context().unwrap().unwrap().state, "a=1,b=2");
    let (name, sequence) = (first.stored_as(), first.stream_sequence());
    first.nak(None).await.unwrap();
    drop(slot);
    let (second, _slot) = consuming.next().await;
    assert_eq!((second.stored_as(), second.stream_sequence(), second.deliveries()), (name, sequence, 2));
    second.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_message_that_is_terminated_does_not_come_back() {
    let broker = Broker::new().await;
    broker.publish("poison").await;
    let mut consuming = broker.consume(1);
    let (delivery, slot) = consuming.next().await;
    delivery.term("poison:\r\nno sense").await.unwrap();
    drop(slot);
    broker.publish("next").await;
    let (delivery, _slot) = consuming.next().await;
    assert_eq!(text(&delivery), "next");
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_deleted_consumer_ends_the_loop_with_an_error() {
    let broker = Broker::new().await;
    let consuming = broker.consume(1);
    until(async || broker.topology.requests.get_info().await.unwrap().num_waiting == 1).await;
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.delete_consumer("scenario-workers").await.unwrap();
    let error = within(consuming.task).await.unwrap().unwrap_err();
    assert!(matches!(error, ConsumerError::Gone { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_is_waited_for() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    let mut consuming = broker.consume(2);
    until(async || broker.topology.requests.get_info().await.unwrap().num_waiting == 1).await;
    server.kill_and_restart();
    until(async || !broker.connection.is_connected()).await;
    until(async || broker.connection.is_connected()).await;
    until(async || {
        let publish = broker.connection.jetstream.publish("scenario.run.requested", "after".into());
        match publish.await {
            Ok(ack) => ack.await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    let (delivery, _slot) = consuming.next().await;
    assert_eq!(text(&delivery), "after");
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_delayed_hand_back_waits() {
    let broker = Broker::new().await;
    broker.publish("x").await;
    let mut consuming = broker.consume(1);
    let (delivery, slot) = consuming.next().await;
    delivery.nak(Some(Duration::from_secs(1))).await.unwrap();
    drop(slot);
    assert_eq!(broker.ack_pending().await, 1, "it is neither gone nor delivered at once");
    let (delivery, _slot) = consuming.next().await;
    assert_eq!(delivery.deliveries(), 2);
    delivery.ack().await.unwrap();
    consuming.stop().await;
}
