//! A client that knows nothing but the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::openai::{LINE, ModelServer};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::raw_nats::RawClient;
use crate::support::shop::Shop;
use crate::support::worker::{PATIENCE, Place, within};

/// What has to be said of models, agent and telemetry.
pub(super) fn definitions(models: &str, agent: &str, otlp: &str) -> String {
    format!(
        r#"
project:
  id: acme
  defaultModel: openai/gpt-5-mini
  telemetry: {{ endpoint: "{otlp}", apiKey: tenant-key-1, protocol: otlp }}
providers:
  - {{ id: openai, kind: openai, baseUrl: "{models}", apiKey: model-key-1 }}
  - {{ id: off, kind: openai, baseUrl: "{models}", enabled: false }}
secrets: {{ SHOP_TOKEN: shop-token-1 }}
prompts:
  - {{ id: support, systemPrompt: "You are kind.", model: openai/gpt-5-mini }}
agents:
  - id: shop
    type: http
    url: "{agent}"
    auth: {{ type: bearer, token: "{{{{ secrets.SHOP_TOKEN }}}}" }}
    bodyTemplate: '{{"thread": "{{{{ threadId }}}}", "message": "{{{{ input }}}}", "history": {{{{ messages }}}}}}'
    outputPath: "$.reply"
scenarios:
  - {{ id: refund, name: Refund, situation: A mug broke., criteria: ["The agent apologises", "The agent refunds"], maxTurns: 3 }}
"#
    )
}

/// The offline sibling: no socket but the agent's.
pub(crate) fn offline(agent: &str) -> String {
    format!(
        r#"
project: {{ id: acme, defaultModel: offline/model }}
providers:
  - id: offline
    kind: scripted
    models: {{ model: {{ replies: ["my mug broke"] }} }}
agents:
  - {{ id: shop, type: http, url: "{agent}", outputPath: "$.reply" }}
scenarios:
  - {{ id: refund, name: Refund, situation: A mug broke., criteria: ["The agent apologises"], maxTurns: 2 }}
"#
    )
}

/// A request for the scenario above.
pub(crate) fn request(more: &Value) -> Vec<u8> {
    let mut request = json!({ "projectId": "acme", "scenarioId": "refund", "target": { "type": "http", "referenceId": "shop" } });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request.to_string().into_bytes()
}

/// The next message of a subscription.
pub(super) async fn next(subscriber: &mut Subscriber) -> Message {
    tokio::time::timeout(PATIENCE, subscriber.next()).await.expect("a message comes in time").unwrap()
}

/// The next outcome.
pub(super) async fn outcome(subscriber: &mut Subscriber) -> Value {
    serde_json::from_slice(&next(subscriber).await.payload).unwrap()
}

/// Publishes, and waits until the server has it.
pub(crate) async fn publish(client: &Client, subject: &str, headers: HeaderMap, payload: Vec<u8>) {
    client.publish_with_headers(subject.to_owned(), headers, payload.into()).await.unwrap();
    client.flush().await.unwrap();
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, *value);
    }
    headers
}

#[tokio::test]
async fn a_stranger_asks_and_hears_the_conversation_and_one_outcome() {
    let (models, shop) = (ModelServer::playing().await, Shop::open(Duration::ZERO).await);
    let otlp = OtlpReceiver::start(Mode::Ok).await;
    let place = Place::new();
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.run.*").await.unwrap();
    publish(
        &client,
        "scenario.run.requested",
        headers(&[("Nats-Msg-Id", "acme:first")]),
        request(&json!({})),
    )
    .await;

    let mut kinds = Vec::new();
    let (mut messages, mut completed) = (Vec::new(), Value::Null);
    while completed.is_null() {
        let event = next(&mut events).await;
        if event.subject.as_str() == "scenario.run.requested" {
            continue;
        }
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        let sent = event.headers.as_ref().unwrap();
        assert_eq!(sent.get("Scenario-Project-Id").unwrap().as_str(), "acme");
        assert_eq!(sent.get("Scenario-Run-Id").unwrap().as_str(), payload["scenarioRunId"].as_str().unwrap());
        assert_eq!(sent.get("Content-Type").unwrap().as_str(), "application/json");
        assert!(sent.get("traceparent").is_none(), "the request brought no trace context");
        kinds.push(event.subject.rsplit('.').next().unwrap().to_owned());
        match kinds.last().unwrap().as_str() {
            "message" => messages.push(payload),
            "completed" => completed = payload,
            _ => {}
        }
    }
    assert_eq!(kinds, ["started", "message", "message", "completed"]);
    let said: Vec<_> = messages
        .iter()
        .map(|m| (m["index"].as_u64().unwrap(), m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [(0, "user", LINE), (1, "assistant", "I am sorry, I refund you.")]);
    assert_eq!(completed["status"], "SUCCESS");
    assert_eq!(completed["verdict"], "success");
    assert_eq!(completed["metCriteria"], json!(["The agent apologises", "The agent refunds"]));
    assert_eq!(completed["unmetCriteria"], json!([]));
    assert_eq!(
        (&completed["error"], &completed["turns"], &completed["attempts"]),
        (&Value::Null, &json!(1), &json!(1))
    );
    assert_eq!(completed["usage"]["target"]["calls"], 1);
    assert_eq!(completed["setId"], "default");

    let telemetry = &completed["telemetry"];
    assert_eq!((&telemetry["error"], &telemetry["exported"]), (&Value::Null, &telemetry["spans"]));
    let spans = otlp.spans();
    assert_eq!(telemetry["spans"].as_u64().unwrap(), spans.len() as u64);
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(traces, BTreeSet::from([telemetry["traceId"].as_str().unwrap()]));
    assert!(
        otlp.attempts().iter().all(|attempt| attempt.header("authorization") == Some("Bearer tenant-key-1"))
    );

    let (asked, body) = &shop.questions()[0];
    assert_eq!(asked["authorization"], "Bearer shop-token-1");
    assert!(asked["traceparent"].to_str().unwrap().contains(telemetry["traceId"].as_str().unwrap()));
    assert_eq!((&body["message"], &body["thread"]), (&json!(LINE), &completed["scenarioRunId"]));
    assert!(models.received().iter().all(|call| call.headers.get("traceparent").is_none()));

    let everything = format!("{completed} {messages:?}");
    worker.terminate();
    let (status, log) = worker.ended().await;
    assert!(status.success());
    for secret in ["tenant-key-1", "model-key-1", "shop-token-1"] {
        assert!(!everything.contains(secret) && !log.join("\n").contains(secret), "{secret} leaked");
    }
    let trace_id = telemetry["traceId"].as_str().unwrap();
    assert!(!log.join("\n").contains(trace_id), "the worker's log names a run's trace");
}

#[tokio::test]
async fn a_request_with_trace_context_gets_events_with_the_runs_own() {
    let (models, shop) = (ModelServer::playing().await, Shop::open(Duration::ZERO).await);
    let otlp = OtlpReceiver::start(Mode::Ok).await;
    let place = Place::new();
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    publish(&client, "scenario.run.requested.acme", headers(&[("traceparent", parent)]), request(&json!({})))
        .await;
    let event = next(&mut outcomes).await;
    let completed: Value = serde_json::from_slice(&event.payload).unwrap();
    let own = event.headers.unwrap().get("traceparent").unwrap().to_string();
    let trace_id = completed["telemetry"]["traceId"].as_str().unwrap();
    assert!(own.contains(trace_id) && !own.contains("0af7651916cd43dd8448eb211c80319c"), "{own}");
    let spans = otlp.spans();
    let root = spans.iter().find(|span| span.parent_span_id.is_none()).unwrap();
    assert_eq!(root.links[0].trace_id, "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn what_cannot_be_run_is_a_dead_letter_with_its_bytes_and_harms_nobody() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let bad: [(&str, Vec<u8>, &str, &str); 6] = [
        ("scenario.run.requested", b"\xff\xfe\x00".to_vec(), "invalid_json", "not JSON"),
        ("scenario.run.requested", b"[]".to_vec(), "invalid_request", ""),
        ("scenario.run.requested", br#"{"projectId":"acme"}"#.to_vec(), "invalid_request", "scenarioId"),
        ("scenario.run.requested", request(&json!({ "projectId": "a.b" })), "invalid_request", "a.b"),
        ("scenario.run.requested", request(&json!({ "maxTurns": 101 })), "out_of_bounds", "maxTurns"),
        ("scenario.run.requested.other", request(&json!({})), "project_mismatch", "other"),
    ];
    for (subject, bytes, _, _) in &bad {
        publish(&client, subject, headers(&[("X-Mine", "kept")]), bytes.clone()).await;
    }
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    let mut found = BTreeMap::new();
    for _ in &bad {
        let letter = outcome(&mut letters).await;
        let bytes = STANDARD.decode(letter["payload"].as_str().unwrap()).unwrap();
        found.insert(bytes, letter);
    }
    for (subject, bytes, code, reason) in &bad {
        let letter = &found[bytes];
        assert_eq!((&letter["code"], &letter["subject"]), (&json!(code), &json!(subject)));
        assert!(letter["reason"].as_str().unwrap().contains(reason), "{letter}");
        assert_eq!(letter["headers"]["X-Mine"], json!(["kept"]));
    }
    assert_eq!(worker.get("/readyz").await.0, 200);
    let jetstream = async_nats::jetstream::new(client);
    let mut requests = jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(requests.info().await.unwrap().state.messages, 0, "what was given up is gone from the queue");
}

#[tokio::test]
async fn huge_nonsense_is_buried_at_once_and_does_not_flood_the_log() {
    let (shop, place) = (Shop::open(Duration::ZERO).await, Place::new());
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let huge = "x".repeat(900_000);
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({ "maxTurns": huge }))).await;
    let cancel = json!({ "projectId": huge }).to_string().into_bytes();
    publish(&client, "scenario.run.cancel_requested", HeaderMap::new(), cancel).await;
    publish(
        &client,
        "scenario.run.requested",
        headers(&[("X-Huge", &"\u{1}".repeat(60_000))]),
        huge.clone().into_bytes(),
    )
    .await;
    for _ in 0..3 {
        let letter = outcome(&mut letters).await;
        assert!(letter["reason"].as_str().unwrap().len() < 2_000);
        assert_eq!(letter["deliveries"], 1, "{}", letter["reason"]);
    }
    let jetstream = async_nats::jetstream::new(client);
    for stream in ["SCENARIO_REQUESTS", "SCENARIO_COMMANDS"] {
        let stream = jetstream.get_stream(stream).await.unwrap();
        within(async || stream.get_info().await.unwrap().state.messages == 0).await;
    }
    worker.terminate();
    let (_, log) = worker.ended().await;
    assert!(log.iter().all(|line| line.len() < 4_000), "the log repeats what a tenant sent");
}

#[tokio::test]
async fn requests_with_unreadable_headers_keep_nobody_waiting() {
    const BAD: usize = 40;
    const GOOD: usize = 5;
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let mut raw = RawClient::connect(&place.nats).await;
    for number in 0..BAD + GOOD {
        let is_good = number % 9 == 8;
        let line: &[u8] = if is_good { b"X-Mine: fine\r\n" } else { b"X-Mine: \xff\r\n" };
        raw.publish(b"scenario.run.requested", line, &request(&json!({}))).await;
    }
    raw.flush().await;
    for _ in 0..GOOD {
        assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    }
    let mut buried = BTreeSet::new();
    for _ in 0..BAD {
        buried.insert(outcome(&mut letters).await["streamSequence"].as_u64().unwrap());
    }
    assert_eq!(buried.len(), BAD);
    let requests = async_nats::jetstream::new(client).get_stream("SCENARIO_REQUESTS").await.unwrap();
    within(async || requests.get_info().await.unwrap().state.messages == 0).await;
    assert_eq!(worker.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn failures_are_outcomes_in_the_words_that_clients_match_on() {
    let (models, shop) = (ModelServer::playing().await, Shop::open(Duration::ZERO).await);
    let place = Place::new();
    place.import(&definitions(&models.base_url(), shop.url(), "http://127.0.0.1:9")).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let target = |kind: &str, id: &str| json!({ "target": { "type": kind, "referenceId": id } });
    let cases = [
        (json!({ "scenarioId": "nope" }), "Scenario nope not found"),
        (json!({ "projectId": "nope" }), "Project nope not found"),
        (target("smoke", "signal"), "Unknown target type: smoke"),
        (target("http", "nope"), "HTTP agent nope not found"),
        (target("prompt", "nope"), "Prompt nope not found"),
        (
            json!({ "models": { "judge": "gpt-5" } }),
            "Invalid model format 'gpt-5' - expected 'provider/model' format (e.g., 'openai/gpt-5-mini')",
        ),
        (
            json!({ "models": { "judge": "nope/m" } }),
            "Provider 'nope' not found for this project. Available providers: off, openai",
        ),
        (
            json!({ "models": { "userSimulator": "off/m" } }),
            "Provider 'off' is not enabled for this project.",
        ),
    ];
    for (more, message) in cases {
        publish(&client, "scenario.run.requested", HeaderMap::new(), request(&more)).await;
        let outcome = outcome(&mut outcomes).await;
        assert_eq!((&outcome["status"], &outcome["error"]["message"]), (&json!("ERROR"), &json!(message)));
        assert_eq!(outcome["error"]["attributedTo"], "definition");
        assert_eq!((&outcome["verdict"], &outcome["telemetry"]["traceId"]), (&Value::Null, &Value::Null));
        assert_eq!(outcome["reasoning"], message);
    }
}

#[tokio::test]
async fn a_failed_export_is_in_the_outcome_the_log_and_a_counter_and_nowhere_else() {
    let (models, shop) = (ModelServer::playing().await, Shop::open(Duration::ZERO).await);
    let otlp = OtlpReceiver::start(Mode::Refuse(401)).await;
    let place = Place::new();
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["telemetry"]["exported"]), (&json!("SUCCESS"), &json!(0)));
    assert!(outcome["telemetry"]["error"].as_str().unwrap().contains("401"), "{outcome}");
    let (_, metrics) = worker.get("/metrics").await;
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("scenario_worker_export_failures_total{") && !line.ends_with(" 0")),
        "{metrics}"
    );
    worker.terminate();
    let (_, log) = worker.ended().await;
    assert!(log.iter().any(|line| line.contains("401")), "{log:?}");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_published_is_an_outcome_that_says_so() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url()).replace("The agent apologises", &"apologise ".repeat(60_000))).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(
        (&outcome["status"], &outcome["error"]["code"]),
        (&json!("ERROR"), &json!("outcome_too_large"))
    );
    assert!(outcome["telemetry"]["traceId"].is_string(), "the run had a trace: {}", outcome["telemetry"]);
    assert_eq!(outcome["usage"]["target"]["calls"], 1, "{}", outcome["usage"]);
}
