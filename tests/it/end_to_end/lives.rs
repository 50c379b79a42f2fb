//! Lives of workers: two at once, one that is killed, one that is told to stop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_nats::HeaderMap;
use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::strangers::{definitions, next, offline, outcome, publish, request};
use crate::support::nats::NatsServer;
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{PATIENCE, Place, within};

const REQUESTS: usize = 200;
const CONCURRENCY: usize = 10;
const MAX_ACK_PENDING: usize = 15;

#[tokio::test]
async fn two_workers_share_two_hundred_requests_and_keep_the_limits() {
    let shop = Shop::closed().await;
    let place = Place::new()
        .with("WORKER__CONCURRENCY", &CONCURRENCY.to_string())
        .with("CONSUMER__MAX_ACK_PENDING", &MAX_ACK_PENDING.to_string());
    place.import(&offline(shop.url())).await;
    let (one, two) = (place.serve().await, place.serve().await);
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    for number in 0..REQUESTS {
        let payload = request(&json!({ "scenarioRunId": format!("run-{number}") }));
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
    }
    // Nobody is answered before the group has all that it may have, which is more than one worker may.
    within(async || shop.questions().len() == MAX_ACK_PENDING).await;
    shop.open_doors();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while counts.values().sum::<usize>() < REQUESTS {
        let outcome = outcome(&mut outcomes).await;
        assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
        *counts.entry(outcome["scenarioRunId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), REQUESTS, "every run has its outcome");
    let deliveries = "scenario_worker_deliveries_total";
    let (by_one, by_two) = (one.metric(deliveries).await, two.metric(deliveries).await);
    assert!(by_one > 0.0 && by_two > 0.0, "both work: {by_one} and {by_two}");
    assert!(
        (by_one + by_two - 200.0).abs() < f64::EPSILON,
        "nothing is delivered twice: {by_one} and {by_two}"
    );
    assert_eq!(shop.most_at_once(), MAX_ACK_PENDING, "never more than the group may have");
}

#[tokio::test]
async fn a_run_whose_worker_is_killed_ends_once_on_another() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let first = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    next(&mut events).await;
    first.kill().await;
    let _second = place.serve().await;
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(2)));
    assert_eq!(outcome["usage"]["userSimulator"]["calls"], 1, "the customer's line is not made again");
    assert_eq!(outcome["messages"].as_array().unwrap().len(), 2);
    let message: serde_json::Value = serde_json::from_slice(&next(&mut events).await.payload).unwrap();
    assert_eq!(message["index"], 1, "the first message is not published again");
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    next(&mut events).await;
    worker.terminate();
    shop.open_doors();
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    let (status, _) = worker.ended().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_worker_without_time_hands_its_run_back_at_once() {
    let shop = Shop::closed().await;
    let place = Place::new().with("WORKER__DRAIN_SECONDS", "0").with("CONSUMER__ACK_WAIT_SECONDS", "600");
    place.import(&offline(shop.url())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    next(&mut events).await;
    first.terminate();
    let (status, _) = first.ended().await;
    assert_eq!(status.code(), Some(0));
    let _second = place.serve().await;
    shop.open_doors();
    // Without the hand-back the run would only move on after `ack_wait`, long after the patience of this test.
    assert!(PATIENCE < Duration::from_mins(10));
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_run_that_loses_its_workers_too_often_ends_as_an_error() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2").with("CONSUMER__MAX_ATTEMPTS", "1");
    place.import(&offline(shop.url())).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mut worker = place.serve().await;
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    for executions in 1..=2 {
        within(async || shop.questions().len() == executions).await;
        worker.kill().await;
        worker = place.serve().await;
    }
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(
        (&outcome["status"], &outcome["error"]["code"]),
        (&json!("ERROR"), &json!("attempts_exhausted"))
    );
    assert_eq!(outcome["error"]["attributedTo"], "worker");
    assert_eq!(outcome["messages"].as_array().unwrap().len(), 1, "what was said so far is kept");
    assert!(outcome["telemetry"]["traceId"].is_string(), "it came to run");
}

#[tokio::test]
async fn a_run_that_is_cancelled_after_its_worker_died_keeps_what_it_was() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    let mut started = client.subscribe("scenario.run.started").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let payload = request(&json!({ "scenarioRunId": "mine" }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
    within(async || !shop.questions().is_empty()).await;
    worker.kill().await;
    assert_eq!(place.run(&["cancel", "--project", "acme", "mine"]).await.status.code(), Some(0));
    let _second = place.serve().await;
    let outcome = outcome(&mut outcomes).await;
    let begun: Value = serde_json::from_slice(&next(&mut started).await.payload).unwrap();
    assert_eq!(
        (&outcome["status"], &outcome["reasoning"]),
        (&json!("CANCELLED"), &json!("Cancelled by user"))
    );
    assert_eq!(outcome["telemetry"]["traceId"], begun["traceId"]);
    assert_eq!(outcome["messages"].as_array().unwrap().len(), 1);
    assert_eq!(shop.questions().len(), 1, "nobody is asked again");
}

#[tokio::test]
async fn a_run_that_is_handed_back_stays_one_trace_with_one_root() {
    let (models, shop, otlp) =
        (ModelServer::playing().await, Shop::closed().await, OtlpReceiver::start(Mode::Ok).await);
    let place = Place::new().with("WORKER__DRAIN_SECONDS", "0");
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || !shop.questions().is_empty()).await;
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));
    let _second = place.serve().await;
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    let spans = otlp.spans();
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_none()).collect();
    assert_eq!(roots.len(), 1, "the first worker leaves the root to the second");
    let is_below_known = |span: &ReceivedSpan| {
        span.parent_span_id.as_ref().is_none_or(|parent| spans.iter().any(|other| other.span_id == *parent))
    };
    assert!(spans.iter().all(|span| span.trace_id == roots[0].trace_id && is_below_known(span)));
    let telemetry = &outcome["telemetry"];
    assert_eq!((&telemetry["error"], telemetry["spans"].as_u64()), (&Value::Null, Some(spans.len() as u64)));
    assert_eq!(telemetry["exported"], telemetry["spans"]);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || !shop.questions().is_empty()).await;
    worker.terminate();
    within(async || worker.get("/readyz").await.0 == 503).await;
    worker.terminate();
    let (status, _) = worker.ended().await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_worker_that_cannot_hear_cancel_requests_any_more_stops() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let jetstream = async_nats::jetstream::new(place.nats.client().await);
    let stream = jetstream.get_stream("SCENARIO_COMMANDS").await.unwrap();
    stream.delete_consumer("scenario-commands").await.unwrap();
    let (status, log) = worker.ended().await;
    assert_eq!(status.code(), Some(3), "{}", log.join("\n"));
}

#[tokio::test]
async fn half_a_request_on_the_health_port_does_not_hold_up_the_end() {
    let place = Place::new();
    let worker = place.serve().await;
    let mut half = TcpStream::connect(worker.health()).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: worker\r\n").await.unwrap();
    // Connections are accepted in their order: once this one is answered, the one above is being served.
    assert_eq!(worker.get("/healthz").await.0, 200);
    worker.terminate();
    let (status, _) = worker.ended().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_be_started_before_its_broker() {
    let mut server = NatsServer::start();
    server.down();
    let place = Place::on(server.account(0));
    place.import(&offline("http://127.0.0.1:9/")).await;
    let address = place.nats.url.rsplit_once('@').unwrap().1.to_owned();
    within(async || tokio::net::TcpListener::bind(&address).await.is_ok()).await;
    let early = tokio::net::TcpListener::bind(&address).await.unwrap();
    let broker = async {
        // The worker knocks at a door behind which nobody is yet.
        drop(early.accept().await.unwrap());
        drop(early);
        tokio::task::block_in_place(|| server.up());
    };
    let (worker, ()) = tokio::join!(place.serve(), broker);
    assert_eq!(worker.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_broker_that_announces_its_end_and_comes_back_costs_no_run() {
    let mut server = NatsServer::start();
    let (shop, place) = (Shop::closed().await, Place::on(server.account(0)));
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || !shop.questions().is_empty()).await;
    server.lame_duck();
    within(async || worker.get("/readyz").await.0 == 503).await;
    server.up();
    within(async || worker.get("/readyz").await.0 == 200).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    client.flush().await.unwrap();
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(1)));
    assert_eq!(shop.questions().len(), 1, "nobody is asked again");
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_run() {
    const RUNS: usize = 120;
    let shop = Shop::open(Duration::from_millis(50)).await;
    let place = Place::new().with("WORKER__CONCURRENCY", "8").with("WORKER__DRAIN_SECONDS", "0");
    place.import(&offline(shop.url())).await;
    let mut workers = VecDeque::from([place.serve().await, place.serve().await]);
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    for number in 0..RUNS {
        let payload = request(&json!({ "scenarioRunId": format!("rolling-{number}") }));
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
    }
    for _ in 0..4 {
        let old = workers.pop_front().unwrap();
        old.terminate();
        assert_eq!(old.ended().await.0.code(), Some(0));
        workers.push_back(place.serve().await);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..RUNS {
        let outcome = outcome(&mut outcomes).await;
        assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
        assert!(seen.insert(outcome["scenarioRunId"].to_string()), "one outcome a run: {outcome}");
    }
}
