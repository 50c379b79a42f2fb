//! Runs in processes of their own (`run.isolation = "process"`), by the built program.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::json;

use super::sessions;
use super::strangers::{definitions, next, offline, outcome, publish, request};
use crate::support::openai::{self, Answer, ModelServer, Received};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, within};

fn place() -> Place {
    Place::new().with("RUN__ISOLATION", "process")
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> BTreeSet<u32> {
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|process| parent_of(*process) == Some(parent)).collect()
}

/// The fourth field of `stat`, behind a name in brackets that may hold anything (proc(5)).
fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(file(process, "stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn file(process: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/{name}"))
}

fn read(process: u32, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(file(process, name)).unwrap()).replace('\0', " ")
}

fn kill(process: u32) {
    let status = std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_run_has_a_process_that_knows_nothing_but_its_run() {
    let (models, shop) = (ModelServer::playing().await, Shop::closed().await);
    let otlp = OtlpReceiver::start(Mode::Ok).await;
    let place = place().with("TELEMETRY__WORKER__OTLP_ENDPOINT", "http://127.0.0.1:9");
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || !shop.questions().is_empty()).await;
    let [process] = children(worker.id()).into_iter().collect::<Vec<_>>()[..] else {
        panic!("one process a run")
    };
    assert_eq!(read(process, "environ"), "", "nothing of the worker's environment");
    let arguments = read(process, "cmdline");
    assert_eq!(arguments.trim(), "scenario-worker execute-run --memory-bytes=536870912");
    let open: Vec<PathBuf> = std::fs::read_dir(file(process, "fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .collect();
    assert!(!open.iter().any(|file| file.to_string_lossy().contains("worker.db")), "no store: {open:?}");
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    let spans = &outcome["telemetry"]["spans"];
    assert_eq!((spans, spans), (&outcome["telemetry"]["exported"], &json!(otlp.spans().len())));
    let asked = otlp.spans().into_iter().find(|span| span.name.starts_with("chat ")).unwrap();
    assert_eq!(asked.attributes["gen_ai.provider.name"], "openai");
    assert_eq!(asked.attributes["server.address"], "127.0.0.1");
    within(async || children(worker.id()).is_empty()).await;
    let exported = worker.metric("scenario_worker_spans_exported_total").await;
    assert_eq!(json!(exported), json!(spans.as_f64().unwrap()), "the worker counts them");
}

#[tokio::test]
async fn a_process_that_is_killed_ends_its_run_and_no_other() {
    let shop = Shop::closed().await;
    let place = place();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(
        &client,
        "scenario.run.requested",
        HeaderMap::new(),
        request(&json!({ "scenarioRunId": "killed" })),
    )
    .await;
    within(async || shop.questions().len() == 1).await;
    let first = children(worker.id());
    publish(
        &client,
        "scenario.run.requested",
        HeaderMap::new(),
        request(&json!({ "scenarioRunId": "spared" })),
    )
    .await;
    within(async || shop.questions().len() == 2).await;
    first.into_iter().for_each(kill);
    let killed = outcome(&mut outcomes).await;
    assert_eq!(
        (&killed["scenarioRunId"], &killed["error"]["code"]),
        (&json!("killed"), &json!("child_crashed"))
    );
    assert!(killed["error"]["message"].as_str().unwrap().contains("SIGKILL"), "{killed}");
    assert_eq!(killed["messages"].as_array().unwrap().len(), 1, "what was said stays said");
    shop.open_doors();
    let spared = outcome(&mut outcomes).await;
    assert_eq!((&spared["scenarioRunId"], &spared["status"]), (&json!("spared"), &json!("SUCCESS")));
    assert_eq!(spared["attempts"], 1);
}

#[tokio::test]
async fn a_session_whose_process_is_killed_is_ended_and_its_call_is_under_way_no_more() {
    let doors = Arc::new(AtomicBool::new(false));
    let agent = sessions::agent(Arc::clone(&doors)).await;
    let one_at_once =
        sessions::definitions(agent.url()).replace("id: shop,", "id: shop, limits: { maxInFlight: 1 },");
    let place = place();
    place.import(&one_at_once).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({ "scenarioRunId": "one" })))
        .await;
    within(async || sessions::targets(&agent) == ["/start", "/chat"]).await;
    children(worker.id()).into_iter().for_each(kill);
    assert_eq!(outcome(&mut outcomes).await["error"]["code"], "child_crashed");
    assert_eq!(sessions::targets(&agent), ["/start", "/chat", "/end"]);
    doors.store(true, Ordering::SeqCst);
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({ "scenarioRunId": "two" })))
        .await;
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS", "the place of the first call is free");
    let (status, log) = {
        worker.terminate();
        worker.ended().await
    };
    assert!(status.success() && !log.join("\n").contains(sessions::CAPTURED), "{log:?}");
}

#[tokio::test]
async fn a_process_goes_with_its_worker_and_another_goes_on_with_the_run() {
    let shop = Shop::closed().await;
    let place = place().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.message").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    next(&mut events).await;
    let processes = children(worker.id());
    assert_eq!(processes.len(), 1);
    worker.kill().await;
    within(async || processes.iter().all(|process| !file(*process, "exe").exists())).await;
    let _second = place.serve().await;
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(2)), "{outcome}");
    assert_eq!(outcome["usage"]["userSimulator"]["calls"], 1, "the customer's line is not made again");
}

/// A model that plays everybody: as the agent it looks an order up before it answers, all of it bit by bit.
fn everybody(request: &Received) -> Answer {
    let body = &request.body;
    if body["tools"][0]["function"]["name"] != "find_order" {
        return openai::play(body);
    }
    let delta = |delta: serde_json::Value| json!({ "choices": [{ "index": 0, "delta": delta }] }).to_string();
    let usage =
        json!({ "choices": [], "usage": { "prompt_tokens": 11, "completion_tokens": 7 } }).to_string();
    let answered = body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
    let said = if answered {
        vec![delta(json!({ "content": "I am sorry, it " })), delta(json!({ "content": "is shipped." }))]
    } else {
        let call = |function| json!({ "tool_calls": [{ "index": 0, "id": "call_9", "function": function }] });
        vec![
            delta(call(json!({ "name": "find_order", "arguments": "{\"number\":" }))),
            delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "\"7\"}" } }] })),
        ]
    };
    Answer::events(said.into_iter().chain([usage, "[DONE]".to_owned()]))
}

#[tokio::test]
async fn a_prompt_with_tools_and_a_stream_is_played_in_a_process() {
    let models = ModelServer::start(everybody).await;
    let (otlp, shop) = (OtlpReceiver::start(Mode::Ok).await, Shop::closed().await);
    let place = place();
    let tools = r#"tools: [{ name: find_order, result: { order: "{{ arguments.number }}", status: shipped } }], stream: true, topP: 0.5,"#;
    let definitions = definitions(&models.base_url(), shop.url(), &otlp.endpoint())
        .replace("id: support,", &format!("id: support, {tools}"));
    place.import(&definitions).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let prompt = json!({ "target": { "type": "prompt", "referenceId": "support" } });
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&prompt)).await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    let reply = &outcome["messages"][1];
    assert_eq!(reply["content"], "I am sorry, it is shipped.", "{outcome}");
    assert_eq!(
        reply["toolCalls"],
        json!([{ "id": "call_9", "name": "find_order", "arguments": { "number": "7" } }])
    );
    let used = &outcome["usage"]["target"];
    assert_eq!((&used["calls"], &used["inputTokens"]), (&json!(2), &json!(22)));
    let asked = models.received().into_iter().filter(|request| request.body["stream"] == true);
    let last = asked.last().unwrap().body["messages"].clone();
    let result =
        json!({ "role": "tool", "content": r#"{"order":"7","status":"shipped"}"#, "tool_call_id": "call_9" });
    assert_eq!(last.as_array().unwrap().last(), Some(&result));
}

#[tokio::test]
async fn the_least_memory_that_may_be_set_is_enough_for_an_ordinary_run() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = place().with("RUN__PROCESS__MEMORY_BYTES", "67108864");
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
}
