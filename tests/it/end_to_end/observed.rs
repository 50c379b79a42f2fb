//! What a worker tells its operators: metrics, its own traces, its log.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use async_nats::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use scenario_worker::http_client;
use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::{Value, json};

use super::strangers::{offline, outcome, publish, request};
use crate::support::exposition::{Exposition, parse};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, json_lines, text, within};

const REQUESTED: &str = "scenario.run.requested.acme";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn metrics(worker: &Worker) -> (String, Exposition) {
    let (status, text) = worker.get("/metrics").await;
    assert_eq!(status, 200);
    let families = parse(&text).unwrap_or_else(|why| panic!("{why} in:\n{text}"));
    (text, families)
}

/// Whether a metric without labels has this value.
fn is(families: &Exposition, name: &str, value: f64) -> bool {
    let samples = families.get(&format!("scenario_worker_{name}")).map(|family| family.samples.as_slice());
    matches!(samples, Some([one]) if (one.value - value).abs() < f64::EPSILON)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_a_worker_are_clean_true_and_name_nobody() {
    let shop = Shop::closed().await;
    let place = Place::new().with("WORKER__CONCURRENCY", "3").with("CONSUMER__MAX_ACK_PENDING", "2");
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    for run in ["run-of-mine-1", "run-of-mine-2", "run-of-mine-3"] {
        publish(&client, REQUESTED, HeaderMap::new(), request(&json!({ "scenarioRunId": run }))).await;
    }
    // One waits in the stream, because the group has its limit in flight.
    let expected = [
        ("runs_in_flight", 2.0),
        ("permits", 3.0),
        ("permits_busy", 2.0),
        ("consumer_pending", 1.0),
        ("consumer_ack_pending", 2.0),
        ("ready", 1.0),
    ];
    within(async || {
        let (_, families) = metrics(&worker).await;
        expected.iter().all(|(name, value)| is(&families, name, *value))
    })
    .await;
    shop.open_doors();
    for _ in 0..3 {
        assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    }
    let expected = [("runs_in_flight", 0.0), ("permits_busy", 0.0), ("consumer_ack_pending", 0.0)];
    within(async || {
        let (_, families) = metrics(&worker).await;
        expected.iter().all(|(name, value)| is(&families, name, *value))
    })
    .await;
    let (text, families) = metrics(&worker).await;
    let calls = &families["scenario_worker_call_duration_seconds"].samples;
    let turns =
        calls.iter().find(|sample| sample.name.ends_with("_count") && sample.labels["kind"] == "target");
    assert_eq!(turns.map(|sample| (sample.labels["result"].as_str(), sample.value)), Some(("answered", 3.0)));
    for somebody in ["acme", "run-of-mine", "refund", "shop", "offline"] {
        assert!(!text.contains(somebody), "{somebody} is in\n{text}");
    }
    let client = http_client::builder().build().unwrap();
    let response = client.get(format!("http://{}/metrics", worker.health())).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(worker.get("/healthz").await, (200, "ok\n".to_owned()));
}

/// The one span with this name.
fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [one] = found.as_slice() else {
        panic!("{name} is there {} times in {:?}", found.len(), names(spans));
    };
    one
}

fn names(spans: &[ReceivedSpan]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_the_worker_gets_its_consumer_spans_and_metrics_and_nothing_of_a_run() {
    let (shop, collector) = (Shop::open(Duration::ZERO).await, OtlpReceiver::start(Mode::Ok).await);
    let place = Place::new().with("TELEMETRY__WORKER__OTLP_ENDPOINT", &collector.endpoint());
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", PARENT);
    headers.insert("Nats-Msg-Id", "acme:mine");
    let payload = request(&json!({ "scenarioRunId": "run-of-mine" }));
    let bytes = payload.len();
    publish(&client, REQUESTED, headers, payload).await;
    let completed = outcome(&mut outcomes).await;
    publish(&client, "scenario.run.requested", HeaderMap::new(), b"{".to_vec()).await;
    outcome(&mut letters).await;
    worker.terminate();
    assert!(worker.ended().await.0.success());

    let spans = collector.spans();
    let process = named(&spans, "process scenario.run.requested.{projectId}");
    assert_eq!((process.kind, process.status, &process.parent_span_id), ("consumer", "unset", &None));
    assert!(process.links.is_empty(), "a request's trace is the run's business");
    for (key, value) in [
        ("messaging.system", json!("nats")),
        ("messaging.operation.name", json!("process")),
        ("messaging.operation.type", json!("process")),
        ("messaging.destination.name", json!(REQUESTED)),
        ("messaging.destination.template", json!("scenario.run.requested.{projectId}")),
        ("messaging.destination.subscription.name", json!("scenario-workers")),
        ("messaging.consumer.group.name", json!("scenario-workers")),
        ("messaging.message.id", json!("acme:mine")),
        ("messaging.message.body.size", json!(bytes)),
        ("nats.stream.sequence", json!(1)),
        ("nats.deliveries", json!(1)),
    ] {
        assert_eq!(process.attributes.get(key), Some(&value), "{key} in {:?}", process.attributes);
    }
    let ack = named(&spans, "ack scenario.run.requested.{projectId}");
    assert_eq!((ack.kind, &ack.trace_id), ("client", &process.trace_id));
    assert_eq!(ack.parent_span_id.as_ref(), Some(&process.span_id));
    assert_eq!(ack.attributes["messaging.operation.type"], "settle");
    let refused = named(&spans, "process scenario.run.requested");
    assert_eq!((refused.status, &refused.attributes["error.type"]), ("error", &json!("invalid_json")));
    assert_eq!(named(&spans, "terminate scenario.run.requested").trace_id, refused.trace_id);

    let text = serde_json::to_string(&spans).unwrap();
    for foreign in [completed["telemetry"]["traceId"].as_str().unwrap(), &PARENT[3..35], "langwatch."] {
        assert!(!text.contains(foreign), "{foreign} is in the worker's spans: {:?}", names(&spans));
    }
    exported_metrics(&collector);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_that_a_worker_takes_has_its_span_and_no_name_of_one_has_an_id() {
    let (shop, own) = (Shop::open(Duration::ZERO).await, OtlpReceiver::start(Mode::Ok).await);
    let away = OtlpReceiver::start(Mode::Refuse(503)).await;
    let place = Place::new()
        .with("TELEMETRY__WORKER__OTLP_ENDPOINT", &own.endpoint())
        .with("TELEMETRY__RUN__DEADLINE_SECONDS", "1");
    let telemetry =
        format!(r#"telemetry: {{ endpoint: "{}", apiKey: k, events: true }} }}"#, away.endpoint());
    let definitions =
        offline(shop.url()).replacen("offline/model }", &format!("offline/model, {telemetry}"), 1);
    place.import(&definitions).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, REQUESTED, HeaderMap::new(), request(&json!({ "scenarioRunId": "run-of-mine" }))).await;
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    let cancel = json!({ "projectId": "acme", "scenarioRunId": "run-of-mine" }).to_string();
    publish(&client, "scenario.run.cancel_requested.acme", HeaderMap::new(), cancel.into()).await;
    let posts = |path: &str| away.attempts().iter().filter(|attempt| attempt.path.ends_with(path)).count();
    within(async || posts("/api/scenario-events") > 0 && posts("/v1/traces") > 2).await;
    let expected = [
        "process scenario.run.requested.{projectId}",
        "ack scenario.run.requested.{projectId}",
        "process scenario.run.cancel_requested.{projectId}",
        "ack scenario.run.cancel_requested.{projectId}",
        "process scenario.events.{projectId}.{runId}.started",
        "nak scenario.events.{projectId}.{runId}.started",
        "process scenario.telemetry.spooled.{projectId}",
        "nak scenario.telemetry.spooled.{projectId}",
    ];
    within(async || expected.iter().all(|name| names(&own.spans()).contains(name))).await;
    worker.terminate();
    assert!(worker.ended().await.0.success());

    let spans = own.spans();
    let process: BTreeSet<_> =
        spans.iter().filter(|span| span.name.starts_with("process ")).map(|span| &span.span_id).collect();
    for span in &spans {
        let template = span.attributes.get("messaging.destination.template").map(Value::to_string);
        for id in ["acme", "run-of-mine"] {
            assert!(!span.name.contains(id), "{}", span.name);
            assert!(!template.as_ref().is_some_and(|template| template.contains(id)), "{template:?}");
        }
        let is_settled = expected.contains(&span.name.as_str()) && !span.name.starts_with("process ");
        // What arrives while the worker stops is given back without any work.
        if is_settled && !(span.name.starts_with("nak") && span.parent_span_id.is_none()) {
            let parent = span.parent_span_id.as_ref().unwrap_or_else(|| panic!("{span:?}"));
            assert!(process.contains(parent), "{} is no part of the work on its message", span.name);
        }
    }
}

#[tokio::test]
async fn a_worker_that_cannot_start_says_so_in_the_form_of_its_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let json = || Place::new().with("LOG__FORMAT", "json");
    for (place, arguments, words) in [
        (json().with("HTTP__BIND", &bind), &["serve"][..], "cannot be listened on"),
        (json().with("WORKER__CONCURRENCY", "none"), &["serve"], "the settings cannot be used"),
        (json(), &["serve", "--what"], "unexpected argument '--what'"),
        (json().with_variable("SCENARIO_WORKER_LOG", "a=b=c"), &["serve"], "the log filter"),
    ] {
        let output = place.run(arguments).await;
        assert_eq!(output.status.code(), Some(2));
        let lines = json_lines(&output.stderr);
        let last = lines.last().unwrap_or_else(|| panic!("nothing is said for {words}"));
        assert_eq!(last["level"], "ERROR");
        assert!(last["message"].as_str().unwrap().contains(words), "{last}");
    }
    let output = Place::new().with("HTTP__BIND", &bind).run(&["serve"]).await;
    let said = text(&output.stderr);
    assert!(said.lines().last().unwrap().starts_with("error: "), "for people it stays a sentence: {said}");
}

fn exported_metrics(collector: &OtlpReceiver) {
    let attempts = collector.attempts();
    let last = attempts.iter().rfind(|attempt| attempt.path == "/v1/metrics").expect("metrics were exported");
    let request = ExportMetricsServiceRequest::decode(last.body.clone()).unwrap();
    let [group] = request.resource_metrics.as_slice() else { panic!("{request:?}") };
    let resource = format!("{:?}", group.resource);
    assert!(resource.contains("service.name") && resource.contains("scenario-worker"), "{resource}");
    let metrics: Vec<_> = group.scope_metrics.iter().flat_map(|scope| &scope.metrics).collect();
    let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    for name in
        ["deliveries", "outcomes", "run_duration", "call_duration", "dead_letters", "permits", "ready"]
    {
        assert!(names.contains(format!("scenario_worker_{name}").as_str()), "{name} is not in {names:?}");
    }
    assert!(metrics.iter().all(|metric| !metric.description.is_empty()));
    let all = format!("{metrics:?}");
    assert!(!all.contains("acme") && !all.contains("run-of-mine"), "an id is in {all}");
    let duration = metrics.iter().find(|metric| metric.name == "scenario_worker_run_duration").unwrap();
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!((histogram.data_points[0].count, duration.unit.as_str()), (1, "s"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_json_has_one_line_for_each_outcome_and_each_error_with_its_run() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new().with("LOG__FORMAT", "json");
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let unknown = json!({ "type": "http", "referenceId": "gone" });
    for (run, more) in [("good-1", json!({})), ("good-2", json!({})), ("bad-1", json!({ "target": unknown }))]
    {
        let mut payload = more.as_object().unwrap().clone();
        payload.insert("scenarioRunId".to_owned(), json!(run));
        publish(&client, REQUESTED, HeaderMap::new(), request(&Value::Object(payload))).await;
    }
    publish(&client, REQUESTED, HeaderMap::new(), b"no JSON".to_vec()).await;
    for _ in 0..3 {
        outcome(&mut outcomes).await;
    }
    outcome(&mut letters).await;
    worker.terminate();
    let (_, log) = worker.ended().await;
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key} is not in {line}");
        }
    }
    for (run, status) in [("good-1", "Success"), ("good-2", "Success"), ("bad-1", "Error")] {
        let of_run: Vec<_> = lines.iter().filter(|line| line["run"] == run).collect();
        let ends: Vec<_> = of_run.iter().filter(|line| line["message"] == "run completed").collect();
        let [end] = ends.as_slice() else { panic!("{run} has {} ends in {lines:#?}", ends.len()) };
        assert_eq!((&end["status"], &end["project"]), (&json!(status), &json!("acme")));
    }
    let complaints: Vec<_> = lines.iter().filter(|line| line["level"] != "INFO").collect();
    let [letter] = complaints.as_slice() else { panic!("{complaints:#?}") };
    assert_eq!((&letter["message"], &letter["code"]), (&json!("dead letter"), &json!("invalid_json")));
    let of_error = log.iter().filter(|line| line.contains("target_not_found")).count();
    assert_eq!(of_error, 1, "{log:#?}");
}
