//! Limits that the workers of a fleet keep together.

use async_nats::HeaderMap;
use serde_json::json;

use super::strangers::{offline, outcome, publish, request};
use crate::support::shop::Shop;
use crate::support::worker::{Place, within};

const RUNS: usize = 24;
const LIMIT: usize = 2;

#[tokio::test]
async fn two_workers_ask_an_agent_no_more_often_at_once_than_it_takes() {
    let shop = Shop::closed().await;
    let place = Place::new();
    let limited =
        offline(shop.url()).replace("id: shop,", &format!("id: shop, limits: {{ maxInFlight: {LIMIT} }},"));
    place.import(&limited).await;
    let workers = [place.serve().await, place.serve().await];
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    for number in 0..RUNS {
        let payload = request(&json!({ "scenarioRunId": format!("run-{number}") }));
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
    }
    within(async || shop.questions().len() == LIMIT).await;
    shop.open_doors();
    for _ in 0..RUNS {
        let outcome = outcome(&mut outcomes).await;
        assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    }
    assert_eq!((shop.questions().len(), shop.most_at_once()), (RUNS, LIMIT));
    let mut waits = 0.0;
    for worker in &workers {
        waits += worker.metric("scenario_worker_limit_waits_total{kind=\"target\"}").await;
    }
    assert!(waits > 0.0, "somebody had to wait");
}

#[tokio::test]
async fn the_calls_of_a_killed_worker_count_no_longer_than_its_lease() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url()).replace("id: shop,", "id: shop, limits: { maxInFlight: 1 },")).await;
    let first = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || shop.questions().len() == 1).await;
    first.kill().await;
    let _second = place.serve().await;
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(2)));
}
