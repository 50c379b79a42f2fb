//! Events of runs.

use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt as _;
use scenario_worker::events::{
    DeadLetterCode, MessageRole, RunCompleted, RunKey, RunMessage, RunStarted, RunStatus, TraceContext,
    TranscriptMessage,
};
use scenario_worker::queue::{DeadLetters, EventPublisher, Published};
use serde_json::{Value, json};

use super::{Broker, within};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ids() -> Value {
    json!({
        "scenarioRunId": "r1", "projectId": "acme", "scenarioId": "refund", "batchRunId": "b 1", "setId": "default",
        "target": { "type": "http", "referenceId": "shop" },
    })
}

fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn started() -> RunStarted {
    let more = json!({ "scenario": { "name": "Refund", "labels": [] }, "attempt": 1, "traceId": "t",
        "startedAt": "2026-01-02T03:04:05Z" });
    serde_json::from_value(with(ids(), &more)).unwrap()
}

fn message(index: u32) -> RunMessage {
    let more = json!({ "index": index, "turn": 1, "role": "user", "content": "hello", "traceId": "t",
        "at": "2026-01-02T03:04:05Z" });
    serde_json::from_value(with(ids(), &more)).unwrap()
}

fn completed(status: RunStatus) -> RunCompleted {
    let more = json!({ "status": status, "success": false, "verdict": null, "reasoning": "", "criteria": [],
        "metCriteria": [], "unmetCriteria": [], "error": null, "turns": 1, "attempts": 1, "messages": [],
        "usage": { "userSimulator": { "inputTokens": 0, "outputTokens": 0, "calls": 0 },
                   "target": { "inputTokens": 0, "outputTokens": 0, "calls": 0 },
                   "judge": { "inputTokens": 0, "outputTokens": 0, "calls": 0 } },
        "telemetry": { "traceId": null, "spans": 0, "exported": 0, "error": null },
        "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:04:06Z", "durationMs": 1000 });
    serde_json::from_value(with(ids(), &more)).unwrap()
}

fn key() -> RunKey {
    let event = started();
    event.ids.key()
}

fn publisher(broker: &Broker) -> EventPublisher {
    EventPublisher::new(&broker.connection, &broker.topology, &broker.settings.events)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

async fn stored_headers(broker: &Broker, kind: &str) -> HeaderMap {
    let subject = format!("scenario.events.acme.r1.{kind}");
    broker.topology.events.direct_get_last_for_subject(subject).await.unwrap().headers
}

#[tokio::test]
async fn of_two_outcomes_the_first_is_kept_and_a_plain_subscriber_hears_exactly_one() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker);
    let client = broker.account.client().await;
    let mut plain = client.subscribe("scenario.run.completed").await.unwrap();
    let mut other = client.subscribe("scenario.run.started").await.unwrap();
    client.flush().await.unwrap();
    assert!(publisher.outcome(&key()).await.unwrap().is_none());
    assert_eq!(publisher.completed(&completed(RunStatus::Failed), None).await.unwrap(), Published::Stored);
    let second = publisher.completed(&completed(RunStatus::Error), None).await.unwrap();
    assert_eq!(second, Published::AlreadyThere);
    assert!(publisher.outcome(&key()).await.unwrap().is_some());
    // Republished messages keep their order, so a second outcome would come before this.
    publisher.started(&started(), None).await.unwrap();
    within(other.next()).await.unwrap();
    let heard = within(plain.next()).await.unwrap();
    let event: RunCompleted = serde_json::from_slice(&heard.payload).unwrap();
    assert_eq!(event.status, RunStatus::Failed);
    assert!(futures::FutureExt::now_or_never(plain.next()).is_none(), "a second outcome was heard");
    let headers = heard.headers.unwrap();
    for (name, value) in [
        ("Nats-Msg-Id", "acme:r1:completed"),
        ("Scenario-Run-Id", "r1"),
        ("Scenario-Project-Id", "acme"),
        ("Scenario-Batch-Run-Id", "b 1"),
        ("Content-Type", "application/json"),
    ] {
        assert_eq!(header(&headers, name), Some(value));
    }
    assert_eq!(header(&headers, "traceparent"), None);
}

#[tokio::test]
async fn an_outcome_is_refused_for_ever_and_not_only_inside_the_deduplication_window() {
    let broker = Broker::new().await;
    let mut config = broker.topology.events.cached_info().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    broker.connection.jetstream.update_stream(config).await.unwrap();
    let publisher = publisher(&broker);
    publisher.message(&message(0), None).await.unwrap();
    publisher.completed(&completed(RunStatus::Success), None).await.unwrap();
    // The window is over when the same message is stored a second time.
    super::until(async || publisher.message(&message(0), None).await.unwrap() == Published::Stored).await;
    let again = publisher.completed(&completed(RunStatus::Success), None).await.unwrap();
    assert_eq!(again, Published::AlreadyThere);
}

#[tokio::test]
async fn a_run_begins_once_and_not_again_behind_the_deduplication_window() {
    let broker = Broker::new().await;
    let mut config = broker.topology.events.cached_info().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    broker.connection.jetstream.update_stream(config).await.unwrap();
    let publisher = publisher(&broker);
    publisher.started(&started(), None).await.unwrap();
    publisher.message(&message(0), None).await.unwrap();
    // The window is over when the same message is stored a second time.
    super::until(async || publisher.message(&message(0), None).await.unwrap() == Published::Stored).await;
    assert_eq!(publisher.started(&started(), None).await.unwrap(), Published::AlreadyThere);
}

#[tokio::test]
async fn each_event_is_kept_as_long_as_its_kind_says() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker);
    publisher.started(&started(), None).await.unwrap();
    publisher.message(&message(0), None).await.unwrap();
    publisher.completed(&completed(RunStatus::Error), None).await.unwrap();
    for (kind, ttl) in [("started", "86400"), ("message", "86400"), ("completed", "604800")] {
        assert_eq!(header(&stored_headers(&broker, kind).await, "Nats-TTL"), Some(ttl), "{kind}");
    }
    for status in [RunStatus::Success, RunStatus::Failed, RunStatus::Cancelled] {
        assert_eq!(publisher.outcome_retention(status).as_secs(), 259_200);
    }
}

#[tokio::test]
async fn an_event_whose_time_is_over_is_gone() {
    let broker = Broker::with(|settings| settings.events.completed_retention_seconds = 1).await;
    let publisher = publisher(&broker);
    publisher.completed(&completed(RunStatus::Success), None).await.unwrap();
    super::until(async || publisher.outcome(&key()).await.unwrap().is_none()).await;
}

#[tokio::test]
async fn messages_are_there_once_and_the_last_one_is_known() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker);
    assert_eq!(publisher.last_message_index(&key()).await.unwrap(), None);
    assert_eq!(publisher.message(&message(0), None).await.unwrap(), Published::Stored);
    assert_eq!(publisher.message(&message(1), None).await.unwrap(), Published::Stored);
    assert_eq!(publisher.message(&message(1), None).await.unwrap(), Published::AlreadyThere);
    assert_eq!(publisher.last_message_index(&key()).await.unwrap(), Some(1));
    let headers = stored_headers(&broker, "message").await;
    assert_eq!(header(&headers, "Nats-Msg-Id"), Some("acme:r1:message:1"));
}

#[tokio::test]
async fn a_trace_context_travels_only_when_it_is_given() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker);
    let trace = TraceContext::from_headers(&[TRACEPARENT], &["a=1"]).unwrap();
    publisher.started(&started(), trace.as_ref()).await.unwrap();
    let headers = stored_headers(&broker, "started").await;
    assert_eq!(header(&headers, "traceparent"), Some(TRACEPARENT));
    assert_eq!(header(&headers, "tracestate"), Some("a=1"));
}

#[tokio::test]
async fn what_does_not_fit_into_a_message_is_shortened_and_says_so() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker);
    let huge = "é\u{1}".repeat(broker.connection.max_payload());
    let line = TranscriptMessage {
        index: 0,
        turn: 1,
        role: MessageRole::User,
        content: huge.clone(),
        tool_calls: Vec::new(),
        trace_tool_calls: Vec::new(),
        latency_ms: None,
    };
    let outcome = RunCompleted { messages: Some(vec![line]), ..completed(RunStatus::Success) };
    assert_eq!(publisher.completed(&outcome, None).await.unwrap(), Published::Stored);
    let stored =
        broker.topology.events.direct_get_last_for_subject("scenario.events.acme.r1.completed").await;
    let stored: RunCompleted = serde_json::from_slice(&stored.unwrap().payload).unwrap();
    assert_eq!(stored, RunCompleted { messages: None, messages_truncated: true, ..outcome });

    let spoken = RunMessage { content: huge, ..message(0) };
    assert_eq!(publisher.message(&spoken, None).await.unwrap(), Published::Stored);
    let stored = broker.topology.events.direct_get_last_for_subject("scenario.events.acme.r1.message").await;
    let stored: RunMessage = serde_json::from_slice(&stored.unwrap().payload).unwrap();
    assert!(stored.content.starts_with("é\u{1}é") && stored.content.ends_with("… [truncated]"));
}

#[tokio::test]
async fn without_republishing_the_plain_subject_is_silent() {
    let broker = Broker::with(|settings| settings.events.republish = false).await;
    let client = broker.account.client().await;
    let mut plain = client.subscribe("scenario.run.*").await.unwrap();
    client.flush().await.unwrap();
    publisher(&broker).completed(&completed(RunStatus::Success), None).await.unwrap();
    client.publish("scenario.run.fence", "".into()).await.unwrap();
    assert_eq!(within(plain.next()).await.unwrap().subject.as_str(), "scenario.run.fence");
}

#[tokio::test]
async fn a_dead_letter_has_the_reason_the_headers_and_the_bytes() {
    use base64::Engine as _;
    let broker = Broker::new().await;
    let mut headers = HeaderMap::new();
    headers.append("X-Note", "one");
    headers.append("X-Note", "two");
    let publish = broker.connection.jetstream.publish_with_headers(
        "scenario.run.requested.acme",
        headers,
        bytes::Bytes::from_static(b"\xff\x00 no JSON"),
    );
    publish.await.unwrap().await.unwrap();
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let dead_letters = DeadLetters::new(&broker.connection);
    for _ in 0..2 {
        dead_letters.bury(&delivery, DeadLetterCode::InvalidJson, "it is no JSON").await.unwrap();
    }
    delivery.term("it is no JSON").await.unwrap();
    let stream = broker.connection.jetstream.get_stream("SCENARIO_DEAD_LETTERS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1, "burying twice adds nothing");
    let stored = stream.get_last_raw_message_by_subject("scenario.run.dead_lettered").await.unwrap();
    let letter: Value = serde_json::from_slice(&stored.payload).unwrap();
    assert_eq!(letter["code"], "invalid_json");
    assert_eq!(letter["reason"], "it is no JSON");
    assert_eq!(letter["subject"], "scenario.run.requested.acme");
    assert_eq!(letter["headers"], json!({ "X-Note": ["one", "two"] }));
    assert_eq!((&letter["streamSequence"], &letter["deliveries"]), (&json!(1), &json!(1)));
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(letter["payload"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, b"\xff\x00 no JSON");
    consuming.stop().await;
}

#[tokio::test]
async fn a_dead_letter_too_large_for_base64_keeps_its_beginning_and_says_so() {
    let broker = Broker::new().await;
    let size = broker.connection.max_payload() - 1_024;
    broker.publish(&"x".repeat(size)).await;
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let code = DeadLetterCode::InvalidRequest;
    DeadLetters::new(&broker.connection).bury(&delivery, code, "too much").await.unwrap();
    delivery.term("too much").await.unwrap();
    let stream = broker.connection.jetstream.get_stream("SCENARIO_DEAD_LETTERS").await.unwrap();
    let stored = stream.get_last_raw_message_by_subject("scenario.run.dead_lettered").await.unwrap();
    let letter: Value = serde_json::from_slice(&stored.payload).unwrap();
    assert!(letter["reason"].as_str().unwrap().contains(&format!("of {size} bytes")), "{}", letter["reason"]);
    consuming.stop().await;
}
