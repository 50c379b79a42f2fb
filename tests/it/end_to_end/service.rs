//! The service: a client that wants an answer.

use std::time::Duration;

use async_nats::{Client, HeaderMap, RequestErrorKind};
use serde_json::{Value, json};

use super::strangers::{next, offline, outcome, request};
use crate::support::schemas::{problems, validator};
use crate::support::shop::Shop;
use crate::support::worker::{PATIENCE, Place, text};

const RUN: &str = r#"{"projectId":"acme","scenarioRunId":"mine"}"#;

/// Asks, and reads the answer.
async fn ask(client: &Client, subject: &str, payload: impl Into<Vec<u8>>) -> Value {
    ask_with(client, subject, HeaderMap::new(), payload).await
}

async fn ask_with(client: &Client, subject: &str, headers: HeaderMap, payload: impl Into<Vec<u8>>) -> Value {
    let request = async_nats::Request::new().payload(payload.into().into()).timeout(Some(PATIENCE));
    let answer = client.send_request(subject.to_owned(), request.headers(headers)).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

fn key(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    headers
}

#[tokio::test]
async fn a_run_is_scheduled_looked_up_and_found_finished() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let unknown = ask(&client, "scenario.run.status", RUN).await;
    assert_eq!(unknown, json!({ "projectId": "acme", "scenarioRunId": "mine", "phase": "unknown" }));

    let wanted = request(&json!({ "scenarioRunId": "mine" }));
    let mut headers = key("acme:k");
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let receipt = ask_with(&client, "scenario.run.schedule", headers, wanted.clone()).await;
    assert_eq!((&receipt["scheduled"], &receipt["jobId"]), (&json!(true), &json!("acme:k")));
    assert_eq!((&receipt["duplicate"], &receipt["streamSequence"]), (&json!(false), &json!(1)));
    let again = ask_with(&client, "scenario.run.schedule", key("k"), wanted).await;
    assert_eq!(
        (&again["duplicate"], &again["jobId"]),
        (&json!(true), &json!("acme:k")),
        "one key, two spellings"
    );

    next(&mut events).await;
    let running = ask(&client, "scenario.run.status", RUN).await;
    assert_eq!(
        (&running["phase"], &running["attempt"], &running["turn"]),
        (&json!("running"), &json!(1), &json!(1))
    );
    assert!(running["updatedAt"].is_string() && running["status"].is_null(), "{running}");
    shop.open_doors();
    let event = next(&mut outcomes).await;
    assert!(event.headers.unwrap().get("traceparent").is_some(), "the request's trace context was handed on");
    let finished = loop {
        // The outcome is heard a moment before the state says so.
        let report = ask(&client, "scenario.run.status", RUN).await;
        if report["phase"] != "running" {
            break report;
        }
    };
    assert_eq!((&finished["phase"], &finished["status"]), (&json!("finished"), &json!("SUCCESS")));

    let cancelled = ask(&client, "scenario.run.cancel", RUN).await;
    assert_eq!(cancelled, json!({ "accepted": true, "phase": "finished", "status": "SUCCESS" }));
    let told = place.run(&["cancel", "--project", "acme", "mine"]).await;
    let said = text(&told.stderr);
    assert!(told.status.success() && said.contains("the run has finished already: SUCCESS"), "{said}");
    let jetstream = async_nats::jetstream::new(client);
    let commands = jetstream.get_stream("SCENARIO_COMMANDS").await.unwrap();
    assert_eq!(commands.cached_info().state.last_sequence, 0, "there is nothing to cancel");
}

#[tokio::test]
async fn what_cannot_be_answered_is_an_error_with_its_code() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let unknown = ask(&client, "scenario.run.schedule", request(&json!({ "scenarioId": "nope" }))).await;
    assert_eq!(
        unknown,
        json!({ "scheduled": false, "error": { "code": "scenario_not_found", "message": "Scenario nope not found" } })
    );
    let cases = [
        ("scenario.run.schedule", "nonsense", "invalid_json", "not JSON"),
        ("scenario.run.schedule", r#"{"projectId":"acme"}"#, "invalid_request", "scenarioId"),
        ("scenario.run.cancel", "nonsense", "invalid_json", "not JSON"),
        ("scenario.run.cancel", r#"{"projectId":"acme"}"#, "invalid_request", "batchRunId"),
        ("scenario.run.status", r#"{"projectId":"a.b","scenarioRunId":"r"}"#, "invalid_request", "a.b"),
    ];
    for (subject, payload, code, message) in cases {
        let error = &ask(&client, subject, payload).await["error"];
        assert_eq!(error["code"], code, "{subject} {payload}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}

/// A request that is wrong in one way, by the subject that it is sent on, and the code of the answer.
fn wrong_requests(largest: usize) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |value: Value| value.to_string().into_bytes();
    let target = json!({ "type": "http", "referenceId": "shop" });
    let wanted = |more: Value| request(&more);
    // As large as the server takes: what the worker would publish, with its headers, is larger.
    let empty = wanted(json!({ "parameters": { "p": "" } })).len();
    let huge = wanted(json!({ "parameters": { "p": "x".repeat(largest - empty) } }));
    let (schedule, cancel, status) = ("scenario.run.schedule", "scenario.run.cancel", "scenario.run.status");
    let mut cases = vec![
        (schedule, text(json!({ "projectId": "acme", "target": target })), "invalid_request"),
        (
            schedule,
            text(json!({ "projectId": "acme", "scenarioId": "refund", "target": "shop" })),
            "invalid_request",
        ),
        (schedule, wanted(json!({ "maxTurns": "4" })), "invalid_request"),
        (schedule, wanted(json!({ "maxTurns": 101 })), "out_of_bounds"),
        (schedule, wanted(json!({ "projectId": "a.b" })), "invalid_request"),
        (schedule, wanted(json!({ "scenarioId": "nope" })), "scenario_not_found"),
        (
            schedule,
            wanted(json!({ "target": { "type": "http", "referenceId": "nope" } })),
            "target_not_found",
        ),
        (schedule, huge, "invalid_request"),
        (cancel, text(json!({ "projectId": "acme" })), "invalid_request"),
        (cancel, text(json!({ "projectId": "acme", "scenarioRunId": "a b" })), "invalid_request"),
        (cancel, text(json!({ "scenarioRunId": "mine" })), "invalid_request"),
        (status, text(json!({ "projectId": "acme", "scenarioRunId": 5 })), "invalid_request"),
        (status, text(json!({ "projectId": "acme" })), "invalid_request"),
        (status, text(json!(["acme", "mine"])), "invalid_request"),
    ];
    for subject in [schedule, cancel, status] {
        let nonsense = [Vec::new(), b"nonsense".to_vec(), b"\xff\x00".to_vec(), b"{\"projectId\":".to_vec()];
        cases.extend(nonsense.map(|bytes| (subject, bytes, "invalid_json")));
        cases.push((subject, b"[]".to_vec(), "invalid_request"));
    }
    cases
}

#[tokio::test]
async fn every_wrong_request_is_an_error_with_headers_a_code_and_a_count() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let (errors, receipts) = (validator("error-reply"), validator("schedule-reply"));
    let cases = wrong_requests(client.server_info().max_payload);
    // First, because what is right is counted a moment after its answer.
    ask(&client, "scenario.run.status", RUN).await;
    for (subject, payload, code) in &cases {
        let told = format!("{subject} {}", String::from_utf8_lossy(&payload[..payload.len().min(80)]));
        let request = async_nats::Request::new().payload(payload.clone().into()).timeout(Some(PATIENCE));
        let answer = client.send_request((*subject).to_owned(), request).await.unwrap();
        let headers = answer.headers.unwrap();
        assert_eq!(headers.get("Nats-Service-Error").unwrap().as_str(), *code, "{told}");
        assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400", "{told}");
        let body: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(body["error"]["code"], *code, "{told}: {body}");
        let shape = if *subject == "scenario.run.schedule" { &receipts } else { &errors };
        assert_eq!(problems(shape, &body), [""; 0], "{told}: {body}");
    }
    let named =
        &ask(&client, "scenario.run.cancel", r#"{"projectId":"acme","scenarioRunId":"a b"}"#).await["error"];
    assert!(named["message"].as_str().unwrap().contains("`scenarioRunId`: scenario run id 'a b'"), "{named}");

    let stats = ask(&client, "$SRV.STATS.scenario-worker", "").await;
    for endpoint in stats["endpoints"].as_array().unwrap() {
        let subject = endpoint["subject"].as_str().unwrap();
        let wrong =
            cases.iter().filter(|case| case.0 == subject).count() + usize::from(subject.ends_with("cancel"));
        let right = usize::from(subject.ends_with("status"));
        assert_eq!(
            (&endpoint["num_errors"], &endpoint["num_requests"]),
            (&json!(wrong), &json!(wrong + right)),
            "{stats}"
        );
        assert!(
            endpoint["processing_time"].as_u64().unwrap() > 0
                && endpoint["last_error"].to_string().contains("invalid"),
            "{stats}"
        );
    }
}

#[tokio::test]
async fn the_service_shows_itself_and_is_gone_when_the_worker_is_told_to_stop() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let info = ask(&client, "$SRV.INFO.scenario-worker", "").await;
    let mut subjects: Vec<&str> =
        info["endpoints"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["scenario.run.cancel", "scenario.run.schedule", "scenario.run.status"]);
    assert_eq!(ask(&client, "$SRV.PING.scenario-worker", "").await["name"], "scenario-worker");
    let ids: Vec<Value> = scenario_worker::schemas::files()
        .iter()
        .map(|file| serde_json::from_str::<Value>(&file.text).unwrap()["$id"].clone())
        .collect();
    for endpoint in info["endpoints"].as_array().unwrap() {
        for schema in ["request_schema", "response_schema", "error_schema"] {
            assert!(ids.contains(&endpoint["metadata"][schema]), "{endpoint}");
        }
    }
    ask(&client, "scenario.run.schedule", request(&json!({ "scenarioRunId": "mine" }))).await;
    next(&mut events).await;
    worker.terminate();
    // Its run goes on while the service is gone: only a run can hold the worker up.
    let gone = async || {
        let request = async_nats::Request::new().payload(RUN.into()).timeout(Some(Duration::from_secs(1)));
        match client.send_request("scenario.run.status", request).await {
            Err(error) => error.kind() == RequestErrorKind::NoResponders,
            Ok(_) => false,
        }
    };
    tokio::time::timeout(PATIENCE, async { while !gone().await {} }).await.unwrap();
    let told = place.run(&["cancel", "--project", "acme", "mine"]).await;
    assert!(text(&told.stderr).contains("no worker answers"), "{}", text(&told.stderr));
    assert_eq!(
        outcome(&mut outcomes).await["status"],
        "CANCELLED",
        "a worker that drains still hears a cancel"
    );
    assert!(worker.ended().await.0.success());
}

#[tokio::test]
async fn an_answer_never_becomes_a_message_to_the_server_or_to_workers() {
    let place = Place::new();
    let worker = place.serve().await;
    let client = place.nats.client().await;
    for reply in ["scenario.run.requested", "$JS.API.STREAM.DELETE.SCENARIO_REQUESTS"] {
        client.publish_with_reply("scenario.run.status", reply, RUN.into()).await.unwrap();
    }
    assert_eq!(ask(&client, "scenario.run.status", RUN).await["phase"], "unknown");
    worker.terminate();
    let (_, log) = worker.ended().await;
    let refused = log.iter().filter(|line| line.contains("without a place for its answer")).count();
    assert_eq!(refused, 2, "{log:?}");
    let requests = async_nats::jetstream::new(client).get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(requests.cached_info().state.last_sequence, 0);
}
