//! Spans that an endpoint does not take at first: kept by one worker, sent by another, told of once.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use async_nats::{Client, HeaderMap, Subscriber};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::strangers::{definitions, next, outcome, publish, request};
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{PATIENCE, Place, within};

const DELIVERED: &str = "scenario.events.acme.mine.telemetry_delivered";

/// A place whose project has its spans sent to a collector.
struct Stage {
    models: ModelServer,
    shop: Shop,
    collector: OtlpReceiver,
    place: Place,
    client: Client,
    outcomes: Subscriber,
    deliveries: Subscriber,
}

impl Stage {
    async fn new(shop: Shop, mode: Mode, place: Place) -> Self {
        let (models, collector) = (ModelServer::playing().await, OtlpReceiver::start(mode).await);
        let place =
            place.with("TELEMETRY__RUN__DEADLINE_SECONDS", "2").with("TELEMETRY__SPOOL__RETRY_SECONDS", "1");
        place.import(&definitions(&models.base_url(), shop.url(), &collector.endpoint())).await;
        let client = place.nats.client().await;
        let outcomes = client.subscribe("scenario.run.completed").await.unwrap();
        let deliveries = client.subscribe("scenario.run.telemetry_delivered").await.unwrap();
        client.flush().await.unwrap();
        Self { models, shop, collector, place, client, outcomes, deliveries }
    }

    async fn open(mode: Mode) -> Self {
        Self::new(Shop::open(Duration::ZERO).await, mode, Place::new()).await
    }

    async fn ask(&self, headers: HeaderMap) {
        let mine = request(&json!({ "scenarioRunId": "mine" }));
        publish(&self.client, "scenario.run.requested", headers, mine).await;
    }

    async fn telemetry(&mut self) -> Value {
        let outcome = outcome(&mut self.outcomes).await;
        assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
        outcome["telemetry"].clone()
    }

    async fn stream(&self, name: &str) -> Stream {
        async_nats::jetstream::new(self.client.clone()).get_stream(name).await.unwrap()
    }

    async fn delivered(&mut self) -> Value {
        serde_json::from_slice(&next(&mut self.deliveries).await.payload).unwrap()
    }

    /// Nothing waits any more, and nothing is kept.
    async fn is_settled(&self) {
        let mut notices = self.stream("SCENARIO_SPOOL").await;
        within(async || notices.clone().info().await.unwrap().state.messages == 0).await;
        assert_eq!(notices.info().await.unwrap().state.messages, 0);
        let store = async_nats::jetstream::new(self.client.clone());
        let objects = store.get_object_store("SCENARIO_SPANS").await.unwrap();
        assert_eq!(objects.list().await.unwrap().count().await, 0);
    }

    /// Spans that wait in the spool.
    async fn waiting(&self) -> u64 {
        let notices = self.stream("SCENARIO_SPOOL").await;
        let mut spans = 0;
        for sequence in 1..=notices.cached_info().state.last_sequence {
            let notice = notices.get_raw_message(sequence).await.unwrap();
            spans += number(&serde_json::from_slice(&notice.payload).unwrap(), "spans");
        }
        spans
    }

    /// The different spans that the collector took.
    fn spans(&self) -> u64 {
        let ids: BTreeSet<_> = self.collector.spans().into_iter().map(|span| span.span_id).collect();
        ids.len() as u64
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[tokio::test]
async fn what_a_dead_collector_did_not_take_another_worker_brings_and_says_so_once() {
    let mut stage = Stage::open(Mode::Refuse(503)).await;
    let first = stage.place.serve().await;
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    stage.ask(headers).await;
    let telemetry = stage.telemetry().await;
    let spans = number(&telemetry, "spans");
    assert_eq!((number(&telemetry, "exported"), number(&telemetry, "spooled")), (0, spans), "{telemetry}");
    assert_eq!(telemetry["errors"][0]["status"], 503, "{telemetry}");
    let mut kept = stage.stream("OBJ_SCENARIO_SPANS").await;
    assert!(kept.info().await.unwrap().state.messages > 0);
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));

    stage.collector.become_mode(Mode::Ok);
    let (second, _third) = tokio::join!(stage.place.serve(), stage.place.serve());
    let message = next(&mut stage.deliveries).await;
    let sent = message.headers.as_ref().unwrap();
    assert_eq!(sent.get("Nats-Msg-Id").unwrap().as_str(), "acme:mine:telemetry_delivered");
    assert_eq!(sent.get("Scenario-Run-Id").unwrap().as_str(), "mine");
    let trace = telemetry["traceId"].as_str().unwrap();
    assert!(sent.get("traceparent").unwrap().as_str().contains(trace));
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&event["traceId"], &event["scenarioRunId"]), (&telemetry["traceId"], &json!("mine")));
    let counts = ["spooled", "exported", "rejected", "undelivered"].map(|name| number(&event, name));
    assert_eq!(counts, [spans, spans, 0, 0]);
    assert_eq!((stage.spans(), stage.collector.spans().len() as u64), (spans, spans), "each is there once");
    stage.is_settled().await;
    let events = stage.stream("SCENARIO_EVENTS").await;
    let mut subjects = events.info_with_subjects(DELIVERED).await.unwrap();
    assert_eq!(subjects.next().await.unwrap().unwrap(), (DELIVERED.to_owned(), 1));
    assert!(second.get("/metrics").await.1.contains("scenario_worker_spans_spooled_total"));
}

#[tokio::test]
async fn spooled_spans_go_where_the_project_says_now_and_no_key_is_kept_with_them() {
    let mut stage = Stage::open(Mode::Refuse(401)).await;
    let _worker = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let telemetry = stage.telemetry().await;
    assert_eq!(telemetry["errors"][0]["status"], 401, "{telemetry}");
    assert_eq!(telemetry["spooled"], telemetry["spans"]);
    let jetstream = async_nats::jetstream::new(stage.client.clone());
    let objects = jetstream.get_object_store("SCENARIO_SPANS").await.unwrap();
    let mut listed = objects.list().await.unwrap();
    while let Some(object) = listed.next().await {
        let mut packed = Vec::new();
        objects.get(object.unwrap().name).await.unwrap().read_to_end(&mut packed).await.unwrap();
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
        assert!(!String::from_utf8_lossy(&plain).contains("tenant-key-1"));
    }
    let elsewhere = OtlpReceiver::start(Mode::Ok).await;
    let moved = definitions(&stage.models.base_url(), stage.shop.url(), &elsewhere.endpoint());
    stage.place.import(&moved.replace("tenant-key-1", "tenant-key-2")).await;
    let event = stage.delivered().await;
    assert_eq!(event["exported"], telemetry["spans"]);
    assert_eq!(elsewhere.spans().len() as u64, number(&telemetry, "spans"));
    let attempts = elsewhere.attempts();
    assert!(attempts.iter().all(|a| a.header("authorization") == Some("Bearer tenant-key-2")));
    assert!(stage.collector.spans().is_empty());
}

#[tokio::test]
async fn spans_of_a_run_that_was_handed_back_are_told_of_behind_its_outcome() {
    let place = Place::new().with("WORKER__DRAIN_SECONDS", "0");
    let mut stage = Stage::new(Shop::closed().await, Mode::Refuse(503), place).await;
    let first = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    within(async || !stage.shop.questions().is_empty()).await;
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));
    stage.collector.become_mode(Mode::Ok);
    let _second = stage.place.serve().await;
    // They arrive while the run goes on, and nobody says so before its outcome.
    within(async || !stage.collector.spans().is_empty()).await;
    stage.shop.open_doors();
    let telemetry = stage.telemetry().await;
    let (spans, spooled) = (number(&telemetry, "spans"), number(&telemetry, "spooled"));
    assert!(spooled > 0, "{telemetry}");
    assert_eq!(number(&telemetry, "exported") + spooled, spans, "{telemetry}");
    let event = stage.delivered().await;
    assert_eq!((number(&event, "spooled"), number(&event, "exported")), (spooled, spooled));
    within(async || stage.spans() == spans).await;
    stage.is_settled().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_while_it_sends_leaves_the_spans_to_another() {
    let mut stage = Stage::open(Mode::Hang).await;
    let first = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let telemetry = stage.telemetry().await;
    assert_eq!(telemetry["spooled"], telemetry["spans"], "{telemetry}");
    let before = stage.collector.attempts().len();
    within(async || stage.collector.attempts().len() > before).await;
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));
    stage.collector.become_mode(Mode::Ok);
    let _second = stage.place.serve().await;
    let event = stage.delivered().await;
    assert_eq!(event["exported"], telemetry["spans"]);
    assert_eq!(stage.spans(), number(&telemetry, "spans"));
    stage.is_settled().await;
}

#[tokio::test]
async fn spans_that_became_too_old_are_given_up_with_a_count_a_line_and_an_event() {
    let place = Place::new().with("TELEMETRY__SPOOL__RETENTION_SECONDS", "1");
    let mut stage = Stage::new(Shop::open(Duration::ZERO).await, Mode::Refuse(503), place).await;
    let worker = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let spans = number(&stage.telemetry().await, "spans");
    let event = stage.delivered().await;
    let counts = ["spooled", "exported", "rejected", "undelivered"].map(|name| number(&event, name));
    assert_eq!(counts, [spans, 0, 0, spans]);
    assert_eq!(
        (&event["errors"][0]["kind"], &event["errors"][0]["spans"]),
        (&json!("expired"), &json!(spans))
    );
    stage.is_settled().await;
    let line = format!("scenario_worker_spans_dropped_total{{reason=\"expired\"}} {spans}");
    let (_, metrics) = worker.get("/metrics").await;
    assert!(metrics.contains(&line), "{metrics}");
    worker.terminate();
    let log = worker.ended().await.1.join("\n");
    assert!(log.contains("spooled spans of a run are given up"), "{log}");
}

#[tokio::test]
async fn spans_that_are_refused_for_good_in_the_end_are_told_of_with_the_reason() {
    let mut stage = Stage::open(Mode::Refuse(503)).await;
    let _worker = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let spans = number(&stage.telemetry().await, "spans");
    stage.collector.become_mode(Mode::Refuse(422));
    let event = stage.delivered().await;
    let counts = ["spooled", "exported", "rejected", "undelivered"].map(|name| number(&event, name));
    assert_eq!(counts, [spans, 0, spans, 0]);
    assert_eq!((&event["errors"][0]["status"], &event["errors"][0]["spans"]), (&json!(422), &json!(spans)));
    stage.is_settled().await;
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_has_it_from_whoever_sends_later() {
    let asks = Mode::RefuseAtFirst { times: 1, status: 503, retry_after: Some(6) };
    let mut stage = Stage::open(asks).await;
    let _worker = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let telemetry = stage.telemetry().await;
    assert_eq!(telemetry["spooled"], telemetry["spans"], "{telemetry}");
    assert_eq!(stage.collector.attempts().len(), 1, "the end of the run is no reason to knock");
    let event = stage.delivered().await;
    assert_eq!(event["exported"], telemetry["spans"]);
    assert_eq!(stage.spans(), number(&telemetry, "spans"));
}

#[tokio::test]
async fn a_full_spool_is_told_and_delays_no_outcome() {
    let place = Place::new().with("TELEMETRY__SPOOL__MAX_BYTES", "1");
    let mut stage = Stage::new(Shop::open(Duration::ZERO).await, Mode::Refuse(503), place).await;
    let _worker = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    let telemetry = stage.telemetry().await;
    assert_eq!((&telemetry["spooled"], &telemetry["undelivered"]), (&json!(0), &telemetry["spans"]));
    assert!(telemetry["error"].as_str().unwrap().contains("telemetry.spool.max_bytes"), "{telemetry}");
    let errors = telemetry["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| number(error, "spans")).sum::<u64>(), number(&telemetry, "spans"));
    assert!(!telemetry.to_string().contains("bytes are kept"), "{telemetry}");
}

#[tokio::test]
async fn a_worker_that_is_killed_while_the_collector_is_down_has_left_every_step_but_the_one_under_way() {
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    let shop = Shop::closed_behind(2).await;
    let mut stage = Stage::new(shop, Mode::Refuse(503), place).await;
    let first = stage.place.serve().await;
    let mine = request(&json!({ "scenarioRunId": "mine", "minTurns": 3 }));
    publish(&stage.client, "scenario.run.requested", HeaderMap::new(), mine).await;
    // Two turns of four spans are over, and the customer has spoken in the third: a call and its model's.
    within(async || stage.shop.questions().len() == 3).await;
    within(async || stage.waiting().await >= 10).await;
    first.kill().await;
    stage.collector.become_mode(Mode::Ok);
    let _second = stage.place.serve().await;
    stage.shop.open_doors();
    let telemetry = stage.telemetry().await;
    let count = |name| telemetry.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (spans, spooled, unconfirmed) = (count("spans"), count("spooled"), count("unconfirmed"));
    assert_eq!(count("exported") + spooled + unconfirmed, spans, "{telemetry}");
    let reasons = telemetry["errors"].as_array().unwrap().iter().map(|error| number(error, "spans"));
    assert_eq!(reasons.sum::<u64>(), spooled + unconfirmed, "{telemetry}");
    // What the lost worker had in its hands comes to another only when its time is up.
    let message = tokio::time::timeout(3 * PATIENCE, stage.deliveries.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((number(&event, "spooled"), number(&event, "exported")), (10, 10));
    // What the receipt does not know of is never more than it says.
    assert!((spooled..=spooled + unconfirmed).contains(&10), "{telemetry}");
    assert_eq!(stage.spans(), count("exported") + 10);
    let counted = |name: &str| stage.collector.spans().iter().filter(|span| span.name == name).count();
    assert_eq!(counted("langwatch.scenario.turn"), 3);
    assert_eq!((counted("langwatch.user_simulator.call"), counted("invoke_agent shop")), (3, 3));
    stage.is_settled().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_has_sent_every_step_but_the_one_under_way_and_the_receipt_is_honest() {
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    let mut stage = Stage::new(Shop::closed().await, Mode::Ok, place).await;
    let first = stage.place.serve().await;
    stage.ask(HeaderMap::new()).await;
    within(async || !stage.shop.questions().is_empty()).await;
    let has = |name: &str| stage.collector.spans().iter().any(|span| span.name == name);
    within(async || has("langwatch.user_simulator.call")).await;
    let seen = stage.spans();
    first.kill().await;
    let _second = stage.place.serve().await;
    stage.shop.open_doors();
    let telemetry = stage.telemetry().await;
    let count = |name| telemetry.get(name).and_then(Value::as_u64).unwrap_or_default();
    let unconfirmed = count("unconfirmed");
    assert_eq!(count("exported") + unconfirmed, count("spans"), "{telemetry}");
    assert!(unconfirmed > 0 && telemetry["errors"][0]["kind"] == "worker_lost", "{telemetry}");
    // What was confirmed is there, and what is there was confirmed or not: never less, never more.
    assert!(count("exported") <= stage.spans() && stage.spans() <= count("spans"), "{telemetry}");
    assert!(seen >= 2, "{seen}");
}
