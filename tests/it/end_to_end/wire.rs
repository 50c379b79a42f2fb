//! What travels fits its committed schema; what is wrong does not; what is added does.

mod mutations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_nats::{Client, HeaderMap};
use futures::StreamExt as _;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::strangers::publish;
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::schemas::{problems, validator};
use crate::support::worker::{PATIENCE, Place, within};

/// Characters of a long answer. JSON writes each of them with six bytes, so four answers do not fit into one message.
const LONG: usize = 50_000;
/// Schemas by what their payloads travel on.
const SCHEMAS: [(&str, &str); 10] = [
    ("scenario.run.requested", "run-requested"),
    ("scenario.run.cancel_requested", "cancel-requested"),
    ("scenario.run.started", "run-started"),
    ("scenario.run.message", "run-message"),
    ("scenario.run.completed", "run-completed"),
    ("scenario.run.telemetry_delivered", "run-telemetry-delivered"),
    ("scenario.run.dead_lettered", "run-dead-lettered"),
    ("scenario.run.schedule", "run-requested"),
    ("scenario.run.cancel", "cancel-requested"),
    ("scenario.run.status", "status-request"),
];

fn definitions(agent: &str, otlp: &str) -> String {
    format!(
        r#"
project:
  id: acme
  defaultModel: offline/model
  telemetry: {{ endpoint: "{otlp}", protocol: otlp }}
providers:
  - id: offline
    kind: scripted
    prices: {{ model: {{ inputPerMillion: 1, outputPerMillion: 2 }} }}
    models:
      model:
        replies: ["my mug broke"]
        verdicts: [ {{ criterion: impossible, metIf: "what nobody says" }} ]
agents:
  - {{ id: tools, type: http, url: "{agent}/tools", outputPath: "$.reply", toolCalls: {{ path: "$.calls[*]" }} }}
  - {{ id: long, type: http, url: "{agent}/long", outputPath: "$.reply" }}
  - {{ id: slow, type: http, url: "{agent}/slow", outputPath: "$.reply" }}
  - {{ id: deaf, type: http, url: "{agent}/deaf", outputPath: "$.reply" }}
  - {{ id: broken, type: http, url: "{agent}/broken", outputPath: "$.reply" }}
scenarios:
  - id: kind
    name: Kind
    situation: A mug broke.
    criteria: ["The agent is kind"]
    labels: [support]
    maxTurns: 1
    checks: [ {{ contains: sorry }} ]
  - {{ id: panel, name: Panel, situation: A mug broke., criteria: ["It is impossible", "The agent is kind"], maxTurns: 1,
      models: {{ judge: [offline/model, offline/model, offline/model] }} }}
  - {{ id: long, name: Long, situation: A mug broke., script: [user, agent, user, agent, user, agent, user, agent, succeed] }}
"#
    )
}

/// Answers by path; the slow one hangs until it is woken.
async fn agent(awake: Arc<AtomicBool>) -> HttpAgent {
    HttpAgent::start(move |request| match request.target.as_str() {
        "/deaf" => Answer::Hang,
        "/broken" => Answer::status(500, "out of order"),
        "/slow" if !awake.load(Ordering::SeqCst) => Answer::Hang,
        "/long" => Answer::json(&json!({ "reply": "\u{1}".repeat(LONG) })),
        _ => Answer::json(&json!({ "reply": "I am sorry.", "calls": [{ "id": "1", "name": "refund", "arguments": { "order": 7 } }] })),
    })
    .await
}

type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// Listens to everything that clients see. Garbage is what they send themselves.
async fn listen(client: &Client) -> Heard {
    let heard = Heard::default();
    let mut messages = client.subscribe("scenario.run.>").await.unwrap();
    client.flush().await.unwrap();
    let kept = heard.clone();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            if let Ok(payload) = serde_json::from_slice(&message.payload) {
                kept.lock().unwrap().push((message.subject.to_string(), payload));
            }
        }
    });
    heard
}

fn of_kind(heard: &Heard, subject: &str) -> Vec<Value> {
    let heard = heard.lock().unwrap();
    heard.iter().filter(|(found, _)| found == subject).map(|(_, payload)| payload.clone()).collect()
}

fn outcome(heard: &Heard, run: &str) -> Option<Value> {
    of_kind(heard, "scenario.run.completed").into_iter().find(|outcome| outcome["scenarioRunId"] == run)
}

async fn request(client: &Client, run: &str, scenario: &str, agent: &str) {
    let payload = json!({
        "projectId": "acme", "scenarioId": scenario, "scenarioRunId": run, "target": { "type": "http", "referenceId": agent },
    });
    publish(client, "scenario.run.requested.acme", HeaderMap::new(), payload.to_string().into_bytes()).await;
}

/// Asks the service; the answer has to fit one of the schemas, and `name` is the one that it should fit.
async fn ask(client: &Client, subject: &str, payload: Value, name: &str, validators: &Validators) -> Value {
    let request = async_nats::Request::new().payload(payload.to_string().into()).timeout(Some(PATIENCE));
    let answer = client.send_request(subject.to_owned(), request).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(problems(&validators[name], &answer), [""; 0], "{subject} {answer}");
    answer
}

type Validators = BTreeMap<&'static str, Validator>;

fn validators() -> Validators {
    let replies = ["schedule-reply", "cancel-reply", "status-reply", "error-reply"];
    let names: BTreeSet<&str> = SCHEMAS.into_iter().map(|(_, name)| name).chain(replies).collect();
    names.into_iter().map(|name| (name, validator(name))).collect()
}

/// The schema of what travels on `subject`.
fn schema_of(subject: &str) -> &'static str {
    let plain = subject.strip_suffix(".acme").unwrap_or(subject);
    SCHEMAS.iter().find(|(known, _)| *known == plain).unwrap_or_else(|| panic!("{subject} has no schema")).1
}

#[tokio::test]
async fn what_real_runs_say_fits_the_schemas_and_what_is_wrong_does_not() {
    let validators = validators();
    let (awake, collector) = (Arc::new(AtomicBool::new(false)), OtlpReceiver::start(Mode::Refuse(503)).await);
    let agent = agent(awake.clone()).await;
    let place = Place::new()
        .with("CONSUMER__ACK_WAIT_SECONDS", "2")
        .with("TELEMETRY__RUN__DEADLINE_SECONDS", "2")
        .with("TELEMETRY__SPOOL__RETRY_SECONDS", "1");
    place.import(&definitions(agent.url(), &collector.endpoint())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let heard = listen(&client).await;

    request(&client, "success", "kind", "tools").await;
    request(&client, "failure", "panel", "tools").await;
    request(&client, "truncated", "long", "long").await;
    request(&client, "agent_error", "kind", "broken").await;
    request(&client, "unknown", "nothing", "tools").await;
    request(&client, "resumed", "kind", "slow").await;
    request(&client, "cancelled", "kind", "deaf").await;
    for garbage in [
        "nonsense",
        "{}",
        r#"{"projectId":"acme","scenarioId":"kind","target":{"type":"http","referenceId":"tools"},"maxTurns":0}"#,
    ] {
        publish(&client, "scenario.run.requested", HeaderMap::new(), garbage.into()).await;
    }
    let run = |id: &str| json!({ "projectId": "acme", "scenarioRunId": id });
    let receipt = ask(&client, "scenario.run.schedule", json!({
        "projectId": "acme", "scenarioId": "kind", "target": { "type": "http", "referenceId": "tools" }, "scenarioRunId": "asked",
        "setId": "", "models": null, "traceContext": "continue", "maxCostUsd": 0.5, "cassette": { "mode": "record", "name": "c" },
    }), "schedule-reply", &validators).await;
    let refused = ask(&client, "scenario.run.schedule", json!({
        "projectId": "acme", "scenarioId": "nothing", "target": { "type": "http", "referenceId": "tools" },
    }), "schedule-reply", &validators).await;
    let asked_of = |path: &'static str| agent.requests().iter().any(|request| request.target == path);
    within(async || asked_of("/slow") && asked_of("/deaf")).await;
    let status = ask(&client, "scenario.run.status", run("resumed"), "status-reply", &validators).await;
    assert_eq!(
        (&status["phase"], &receipt["scheduled"], &refused["scheduled"]),
        (&json!("running"), &json!(true), &json!(false))
    );
    let cancelled = ask(&client, "scenario.run.cancel", run("cancelled"), "cancel-reply", &validators).await;
    publish(
        &client,
        "scenario.run.cancel_requested",
        HeaderMap::new(),
        br#"{"projectId":"acme","batchRunId":"b"}"#.to_vec(),
    )
    .await;
    let error =
        ask(&client, "scenario.run.status", json!({ "projectId": "a.b" }), "error-reply", &validators).await;
    ask(&client, "scenario.run.status", run("never"), "status-reply", &validators).await;
    within(async || {
        ["success", "failure", "truncated", "agent_error", "unknown", "cancelled", "asked"]
            .iter()
            .all(|run| outcome(&heard, run).is_some())
    })
    .await;

    // Before the kill: what a killed worker was about to send rests for a minute.
    collector.become_mode(Mode::Ok);
    within(async || !of_kind(&heard, "scenario.run.telemetry_delivered").is_empty()).await;
    first.kill().await;
    awake.store(true, Ordering::SeqCst);
    let _second = place.serve().await;
    within(async || outcome(&heard, "resumed").is_some()).await;
    ask(&client, "scenario.run.status", run("resumed"), "status-reply", &validators).await;
    ask(&client, "scenario.run.cancel", run("resumed"), "cancel-reply", &validators).await;

    let found = |run: &str| outcome(&heard, run).unwrap();
    for (run, expected) in [
        ("success", "SUCCESS"),
        ("failure", "FAILED"),
        ("agent_error", "ERROR"),
        ("unknown", "ERROR"),
        ("cancelled", "CANCELLED"),
        ("truncated", "SUCCESS"),
    ] {
        assert_eq!(found(run)["status"], expected, "{}", found(run));
    }
    assert_eq!(found("success")["messages"][1]["toolCalls"][0]["name"], "refund");
    assert_eq!(found("failure")["criteria"][0]["votes"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&found("truncated")["messagesTruncated"], &found("resumed")["attempts"]),
        (&json!(true), &json!(2))
    );
    assert!(
        found("success")["telemetry"]["errors"].is_array()
            && found("unknown")["telemetry"]["traceId"].is_null()
    );
    let codes: BTreeSet<String> = of_kind(&heard, "scenario.run.dead_lettered")
        .iter()
        .map(|letter| letter["code"].to_string())
        .collect();
    assert_eq!(
        codes,
        ["\"invalid_json\"", "\"invalid_request\"", "\"out_of_bounds\""].map(str::to_owned).into()
    );

    let mut heard = heard.lock().unwrap().clone();
    heard.retain(|(_, payload)| !mutations::is_sent_wrong(payload));
    for (subject, payload) in &heard {
        assert_eq!(problems(&validators[schema_of(subject)], payload), [""; 0], "{subject} {payload}");
    }
    let mut samples: Vec<(&str, Value)> =
        heard.into_iter().map(|(subject, payload)| (schema_of(&subject), payload)).collect();
    samples.extend([
        ("schedule-reply", receipt),
        ("schedule-reply", refused),
        ("cancel-reply", cancelled),
        ("status-reply", status),
        ("error-reply", error),
    ]);
    let seen: BTreeSet<&str> = samples.iter().map(|(name, _)| *name).collect();
    assert_eq!(seen, validators.keys().copied().collect(), "every schema has met something real");
    let mut shapes = BTreeSet::new();
    samples.retain(|(name, payload)| shapes.insert((*name, mutations::shape(payload))));
    let wrong: BTreeSet<String> = samples
        .iter()
        .flat_map(|(name, payload)| mutations::problems(name, payload, &validators[name]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
