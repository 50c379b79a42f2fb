//! Cancelling a run that nobody runs, or that is not there yet.

use async_nats::HeaderMap;
use serde_json::json;

use super::strangers::{next, offline, outcome, publish, request};
use crate::support::shop::Shop;
use crate::support::worker::{Place, text};

const CANCEL: [&str; 4] = ["cancel", "--project", "acme", "mine"];

#[tokio::test]
async fn a_cancel_of_a_run_whose_worker_died_counts_when_another_gets_the_run() {
    // Closed doors: nothing but the cancel can end this run.
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mine = request(&json!({ "scenarioRunId": "mine" }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), mine).await;
    next(&mut events).await;
    first.kill().await;
    let told = place.run(&CANCEL).await;
    assert!(
        told.status.success() && text(&told.stderr).contains("no worker answers"),
        "{}",
        text(&told.stderr)
    );
    let _second = place.serve().await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("CANCELLED"), &json!(2)));
    assert_eq!(outcome["messages"].as_array().unwrap().len(), 1, "what was said before is not lost");
}

#[tokio::test]
async fn a_cancel_from_before_the_request_cancels_the_run_when_it_arrives() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let (_worker, client) = (place.serve().await, place.nats.client().await);
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let told = place.run(&CANCEL).await;
    assert!(text(&told.stderr).contains("no worker has had the run yet"), "{}", text(&told.stderr));
    let mine = request(&json!({ "scenarioRunId": "mine" }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), mine).await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["scenarioRunId"], &outcome["status"]), (&json!("mine"), &json!("CANCELLED")));
}

#[tokio::test]
async fn a_cancel_request_as_large_as_a_message_can_be_is_heard() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let (_worker, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mine = request(&json!({ "scenarioRunId": "mine" }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), mine).await;
    next(&mut events).await;
    let padded = |padding: usize| {
        let cancel = json!({ "projectId": "acme", "scenarioRunId": "mine", "padding": "x".repeat(padding) });
        cancel.to_string().into_bytes()
    };
    let cancel = padded(client.server_info().max_payload - padded(0).len());
    publish(&client, "scenario.run.cancel_requested", HeaderMap::new(), cancel).await;
    assert_eq!(outcome(&mut outcomes).await["status"], "CANCELLED");
}

#[tokio::test]
async fn a_batch_is_cancelled_through_the_service() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let (_worker, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    for run in ["one", "two"] {
        let payload = request(&json!({ "scenarioRunId": run, "batchRunId": "nightly 1" }));
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
        next(&mut events).await;
    }
    let told = place.run(&["cancel", "--project", "acme", "--batch", "nightly 1"]).await;
    assert!(text(&told.stderr).contains("cancel the batch is stored"), "{}", text(&told.stderr));
    for _ in 0..2 {
        assert_eq!(outcome(&mut outcomes).await["status"], "CANCELLED");
    }
}
