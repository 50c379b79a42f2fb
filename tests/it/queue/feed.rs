//! Listening to events across a broker that is killed and comes back.

use scenario_worker::events::{RunId, RunMessage};
use scenario_worker::queue::EventPublisher;
use scenario_worker::queue::feed::{self, Event, FeedError, FeedFilter, FeedStart};
use serde_json::json;

use super::{Broker, until, within};
use crate::support::nats::NatsServer;

fn message(index: u32) -> RunMessage {
    serde_json::from_value(json!({
        "scenarioRunId": "r1", "projectId": "acme", "scenarioId": "refund", "batchRunId": "b", "setId": "default",
        "index": index, "turn": 1, "role": "user", "content": "hello", "traceId": "t", "at": "2026-01-02T03:04:05Z",
    }))
    .unwrap()
}

async fn publish(broker: &Broker, indices: std::ops::Range<u32>) {
    let publisher = EventPublisher::new(&broker.connection, &broker.topology, &broker.settings.events);
    for index in indices {
        publisher.message(&message(index), None).await.unwrap();
    }
}

async fn hear(
    events: &mut (impl futures::Stream<Item = Result<Event, FeedError>> + Unpin),
    indices: std::ops::Range<u32>,
) {
    for index in indices {
        match within(feed::next(events)).await.unwrap() {
            Event::Message(message) => assert_eq!(message.index, index),
            other => panic!("{other:?}"),
        }
    }
}

async fn restart(server: &mut NatsServer, broker: &Broker) {
    server.kill_and_restart();
    until(async || !broker.connection.is_connected()).await;
    until(async || broker.connection.is_connected()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_goes_on_behind_the_last_event_when_the_broker_is_back() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    let filter = FeedFilter { run: RunId::parse("r1").ok(), ..FeedFilter::default() };
    publish(&broker, 0..6).await;
    let mut events = feed::open(&broker.connection, &[filter], FeedStart::Beginning).await.unwrap();
    hear(&mut events, 0..3).await;
    restart(&mut server, &broker).await;
    publish(&broker, 6..9).await;
    hear(&mut events, 3..8).await;
    restart(&mut server, &broker).await;
    publish(&broker, 9..10).await;
    hear(&mut events, 8..10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_from_now_on_hears_nothing_older_after_a_restart() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    publish(&broker, 0..3).await;
    let filters = [FeedFilter::default()];
    let mut events = feed::open(&broker.connection, &filters, FeedStart::Now).await.unwrap();
    restart(&mut server, &broker).await;
    publish(&broker, 3..5).await;
    hear(&mut events, 3..5).await;
}

#[tokio::test]
async fn a_deleted_consumer_is_replaced() {
    let broker = Broker::new().await;
    let mut events =
        feed::open(&broker.connection, &[FeedFilter::default()], FeedStart::Beginning).await.unwrap();
    publish(&broker, 0..1).await;
    hear(&mut events, 0..1).await;
    let stream = &broker.topology.events;
    let names: Vec<String> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.unwrap();
    for name in names {
        stream.delete_consumer(&name).await.unwrap();
    }
    publish(&broker, 1..3).await;
    hear(&mut events, 1..3).await;
}
