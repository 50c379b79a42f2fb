//! Agents that trace their own work: what they send reaches the judge, the checks and the tenant, and nobody else.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Subscriber};
use serde_json::{Value, json};

use super::commands::schedule;
use super::strangers::{definitions, outcome, publish, request};
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::tracing_agent::{REPLY, SPANS, Sending, TOOL, TracingAgent};
use crate::support::worker::{Place, Worker, json_lines, text, within};

/// What the checks of the scenario ask for.
const CHECKS: &str = "checks: [{ toolCalled: { name: lookup_order, arguments: { order: A-17 }, times: 1 } }, { toolNotCalled: wire_money }], criteria";

/// A place whose project has an agent that traces itself.
struct Stage {
    models: ModelServer,
    agent: TracingAgent,
    collector: OtlpReceiver,
    place: Place,
    client: Client,
    outcomes: Subscriber,
}

fn place() -> Place {
    Place::new().with("TELEMETRY__RECEIVER__BIND", "127.0.0.1:0")
}

impl Stage {
    async fn new(place: Place) -> Self {
        let (models, agent) = (ModelServer::playing().await, TracingAgent::start("shop").await);
        let collector = OtlpReceiver::start(Mode::Ok).await;
        let all = definitions(&models.base_url(), agent.url(), &collector.endpoint());
        place.import(&all.replace("criteria", CHECKS)).await;
        let client = place.nats.client().await;
        let outcomes = client.subscribe("scenario.run.completed").await.unwrap();
        client.flush().await.unwrap();
        Self { models, agent, collector, place, client, outcomes }
    }

    async fn ask(&self, more: &Value) {
        publish(&self.client, "scenario.run.requested", HeaderMap::new(), request(more)).await;
    }

    async fn outcome(&mut self) -> Value {
        outcome(&mut self.outcomes).await
    }

    /// What the judge was asked last.
    fn judged_on(&self) -> String {
        let asked = self.models.received();
        let verdict = asked.iter().rev().find(|asked| asked.body["tools"][0].is_object());
        verdict.expect("the judge was asked").body["messages"].to_string()
    }

    /// Names of the agent's spans that the collector has, each once.
    fn names(&self) -> Vec<String> {
        agents_spans(&self.collector)
    }
}

/// Names of an agent's spans that a collector has, in order; every span has come once.
fn agents_spans(collector: &OtlpReceiver) -> Vec<String> {
    let spans = collector.spans();
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "every span comes once");
    let theirs = spans.iter().filter(|span| span.scope == "agent-instrumentation");
    let mut names: Vec<String> = theirs.map(|span| span.name.clone()).collect();
    names.sort();
    names
}

fn all_names() -> Vec<String> {
    ["POST /chat", "SELECT orders", "chat gpt-agent", "execute_tool lookup_order"].map(str::to_owned).into()
}

fn to(worker: &Worker) -> Sending {
    Sending { endpoint: worker.receiver(), ..Sending::default() }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Checks that the run was judged by what the agent's spans tell.
fn is_judged_by_spans(outcome: &Value) {
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    let checks: Vec<_> =
        outcome["criteria"].as_array().unwrap().iter().map(|c| c["status"].clone()).collect();
    assert_eq!(checks, vec![json!("met"); 4], "{outcome}");
    assert!(outcome.get("toolCallsUnknown").is_none(), "{outcome}");
    let told = &outcome["messages"][1];
    assert_eq!((&told["content"], &told["toolCalls"]), (&json!(REPLY), &Value::Null));
    assert_eq!(told["traceToolCalls"][0]["name"], TOOL);
    let telemetry = &outcome["telemetry"];
    assert_eq!((number(telemetry, "received"), &telemetry["error"]), (SPANS, &Value::Null), "{telemetry}");
    assert_eq!(telemetry["spans"], telemetry["exported"], "{telemetry}");
}

#[tokio::test]
async fn an_agents_own_spans_reach_judge_checks_and_tenant_and_not_the_workers_telemetry() {
    let own = OtlpReceiver::start(Mode::Ok).await;
    let mut stage = Stage::new(place().with("TELEMETRY__WORKER__OTLP_ENDPOINT", &own.endpoint())).await;
    let worker = stage.place.serve().await;
    stage.agent.sends_to(to(&worker));
    stage.ask(&json!({})).await;
    let outcome = stage.outcome().await;
    is_judged_by_spans(&outcome);
    assert_eq!(stage.names(), all_names());
    assert_eq!(stage.collector.spans().len() as u64, number(&outcome["telemetry"], "exported"));
    let spans = stage.collector.spans();
    let tool = spans.iter().find(|span| span.name == "execute_tool lookup_order").unwrap();
    assert_eq!(
        (&tool.resource["service.name"], &tool.trace_id),
        (&json!("shop"), &outcome["telemetry"]["traceId"].as_str().unwrap().to_owned())
    );
    assert!(tool.attributes["gen_ai.tool.call.arguments"].as_str().unwrap().contains("A-17"), "as it came");
    let note = spans.iter().flat_map(|span| &span.events).find(|event| event.name == "scenario.target_spans");
    let note = &note.expect("the wait is shown").attributes;
    assert_eq!(
        (&note["scenario.target_spans.count"], &note["scenario.target_spans.settled"]),
        (&json!(SPANS), &json!(true))
    );

    let judged_on = stage.judged_on();
    assert!(judged_on.contains("[1] agent reports tool lookup_order("), "{judged_on}");
    assert!(
        judged_on.contains("The mug was sent on Monday") && judged_on.contains("a call of model"),
        "{judged_on}"
    );
    assert!(!judged_on.contains("shop-token-1"), "a secret is before the judge: {judged_on}");
    let transcript: Value = serde_json::from_str(&judged_on).unwrap();
    let transcript = transcript[1]["content"].as_str().unwrap();
    assert!(!transcript.lines().any(|line| line.starts_with("[9]")), "a line is forged: {transcript}");
    assert_eq!(transcript.matches("</transcript>").count(), 1, "{transcript}");

    assert!((worker.metric("scenario_worker_spans_received_total").await - 4.0).abs() < f64::EPSILON);
    worker.terminate();
    let (_, log) = worker.ended().await;
    let told = format!("{log:?}{:?}", own.spans());
    assert!(!told.contains("lookup_order") && !told.contains("gpt-agent"), "{told}");
}

#[tokio::test]
async fn spans_that_come_late_are_waited_for_and_any_worker_may_receive_them() {
    let mut stage = Stage::new(place()).await;
    let (one, other) = tokio::join!(stage.place.serve(), stage.place.serve());
    stage.ask(&json!({})).await;
    within(async || !stage.agent.asked().is_empty()).await;
    let plays = one.metric("scenario_worker_runs_in_flight").await > 0.0;
    let (player, neighbour) = if plays { (one, other) } else { (other, one) };
    stage.agent.sends_to(Sending { delay: Duration::from_millis(1500), ..to(&neighbour) });
    is_judged_by_spans(&stage.outcome().await);
    assert_eq!(stage.names(), all_names());
    let received = "scenario_worker_spans_received_total";
    assert!((neighbour.metric(received).await - 4.0).abs() < f64::EPSILON);
    assert!(player.metric(received).await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn spans_that_never_come_are_not_waited_for_for_ever_and_leave_the_tools_unknown() {
    let mut stage = Stage::new(place().with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "1")).await;
    let _worker = stage.place.serve().await;
    stage.agent.sends_nothing();
    stage.ask(&json!({})).await;
    let outcome = stage.outcome().await;
    assert_eq!(
        (&outcome["status"], &outcome["toolCallsUnknown"]),
        (&json!("FAILED"), &json!(true)),
        "{outcome}"
    );
    let check = &outcome["criteria"][2];
    assert!(check["reasoning"].as_str().unwrap().contains("is not known"), "{check}");
    assert!(outcome["telemetry"].get("received").is_none());
    let spans = stage.collector.spans();
    let note = spans.iter().flat_map(|span| &span.events).find(|event| event.name == "scenario.target_spans");
    assert_eq!(note.unwrap().attributes["scenario.target_spans.settled"], false);
    assert!(!stage.judged_on().contains("agent reports"));
}

/// Spans of somebody who has a run's trace id and nothing else: below nothing, and below what there is not.
fn junk(trace_id: &str) -> Value {
    let span = |n: u32| {
        let parent = if n.is_multiple_of(2) { String::new() } else { format!("{:016x}", 0x7700_0000 + n) };
        json!({
            "traceId": trace_id, "spanId": format!("{:016x}", n + 1), "parentSpanId": parent, "name": "wire_money",
            "attributes": [{ "key": "gen_ai.tool.name", "value": { "stringValue": "wire_money" } }],
        })
    };
    let scope = json!({ "scope": { "name": "stranger" }, "spans": (0..6000).map(span).collect::<Vec<_>>() });
    json!({ "resourceSpans": [{ "scopeSpans": [scope] }] })
}

#[tokio::test]
async fn a_stranger_who_has_the_trace_id_changes_no_verdict_and_is_not_waited_for() {
    let mut stage = Stage::new(place().with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "30")).await;
    let worker = stage.place.serve().await;
    stage.ask(&json!({})).await;
    within(async || !stage.agent.asked().is_empty()).await;
    let traceparent = stage.agent.asked()[0]["traceparent"].to_str().unwrap().to_owned();
    let trace_id = traceparent.split('-').nth(1).unwrap();
    let client = scenario_worker::http_client::builder().build().unwrap();
    let sending = client.post(format!("{}/v1/traces", worker.receiver())).json(&junk(trace_id));
    assert_eq!(sending.send().await.unwrap().status(), 200);
    stage.agent.sends_to(to(&worker));
    let outcome = stage.outcome().await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    assert!(outcome.get("toolCallsUnknown").is_none(), "{outcome}");
    assert_eq!(stage.names(), all_names(), "the agent's own spans are all there");
    let spans = stage.collector.spans();
    assert_eq!(spans.iter().filter(|span| span.scope == "stranger").count(), 512);
    let note = spans.iter().flat_map(|span| &span.events).find(|event| event.name == "scenario.target_spans");
    let note = &note.unwrap().attributes;
    assert_eq!(
        (&note["scenario.target_spans.settled"], &note["scenario.target_spans.count"]),
        (&json!(true), &json!(SPANS))
    );
}

#[tokio::test]
async fn a_run_that_waits_for_spans_is_cancelled_at_once() {
    let mut stage = Stage::new(place().with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "30")).await;
    let _worker = stage.place.serve().await;
    stage.agent.sends_nothing();
    let mut said = stage.client.subscribe("scenario.run.message").await.unwrap();
    stage.client.flush().await.unwrap();
    stage.ask(&json!({ "scenarioRunId": "mine" })).await;
    for _ in 0..2 {
        super::strangers::next(&mut said).await;
    }
    let cancel = json!({ "projectId": "acme", "scenarioRunId": "mine" }).to_string();
    publish(&stage.client, "scenario.run.cancel_requested", HeaderMap::new(), cancel.into_bytes()).await;
    assert_eq!(stage.outcome().await["status"], "CANCELLED");
    let asked = stage.models.received();
    assert!(
        !asked.iter().any(|asked| asked.body["tools"][0].is_object()),
        "the judge was asked: it waited to its end"
    );
}

#[tokio::test]
async fn spans_of_a_trace_that_nobody_plays_are_refused_and_counted_and_a_token_is_asked_for() {
    let mut stage = Stage::new(
        place()
            .with("TELEMETRY__RECEIVER__TOKEN", "ingress-token-1")
            .with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "1"),
    )
    .await;
    let worker = stage.place.serve().await;
    let stranger = TracingAgent::start("stranger").await;
    stranger.sends_to(Sending { token: Some("ingress-token-1".into()), ..to(&worker) });
    let client = scenario_worker::http_client::builder().build().unwrap();
    let unknown = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.post(stranger.url()).header("traceparent", unknown).send().await.unwrap();
    let refused = "scenario_worker_spans_refused_total{reason=\"unknown_trace\"} 4";
    within(async || worker.get("/metrics").await.1.contains(refused)).await;
    assert!(!worker.get("/metrics").await.1.contains("0af7651916cd43dd8448eb211c80319c"));

    stage.agent.sends_to(to(&worker));
    stage.ask(&json!({})).await;
    assert!(stage.outcome().await["telemetry"].get("received").is_none());
    let refused = "scenario_worker_receiver_requests_refused_total{reason=\"unauthorized\"} 4";
    within(async || worker.get("/metrics").await.1.contains(refused)).await;
    stage.agent.sends_to(Sending { token: Some("ingress-token-1".into()), ..to(&worker) });
    stage.ask(&json!({})).await;
    is_judged_by_spans(&stage.outcome().await);
}

#[tokio::test]
async fn what_the_judge_saw_of_spans_is_on_the_tape() {
    let stage = Stage::new(place()).await;
    let worker = stage.place.serve().await;
    stage.agent.sends_to(to(&worker));
    let played = async |mode| {
        let output = stage.place.run(&schedule(&["--wait", "--json", "--cassette", mode])).await;
        json_lines(&output.stdout).into_iter().nth(1).unwrap_or_else(|| panic!("{}", text(&output.stderr)))
    };
    let first = played("record").await;
    is_judged_by_spans(&first);
    let calls = (stage.agent.asked().len(), stage.models.received().len());
    let second = played("replay").await;
    for same in ["status", "messages", "criteria", "reasoning"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert!(second["telemetry"].get("received").is_none(), "{second}");
    assert_eq!((stage.agent.asked().len(), stage.models.received().len()), calls, "nobody is asked again");
}

/// Two tenants of one worker, each with an agent and a collector.
async fn neighbours(stage: &Stage) -> (TracingAgent, OtlpReceiver) {
    let (agent, collector) = (TracingAgent::start("bakery").await, OtlpReceiver::start(Mode::Ok).await);
    let all = definitions(&stage.models.base_url(), agent.url(), &collector.endpoint());
    let theirs = all
        .replace("criteria", CHECKS)
        .replace("id: acme", "id: other")
        .replace("tenant-key-1", "tenant-key-2");
    stage.place.import(&theirs).await;
    (agent, collector)
}

async fn two_tenants_keep_their_spans(more: Value, headers: HeaderMap) {
    let mut stage = Stage::new(place()).await;
    let (agent, collector) = neighbours(&stage).await;
    let worker = stage.place.serve().await;
    let mut theirs = more.clone();
    theirs["projectId"] = json!("other");
    for asked in [&more, &theirs] {
        publish(&stage.client, "scenario.run.requested", headers.clone(), request(asked)).await;
    }
    // Both are under way before anybody sends.
    within(async || !stage.agent.asked().is_empty() && !agent.asked().is_empty()).await;
    stage.agent.sends_to(to(&worker));
    agent.sends_to(to(&worker));
    for _ in 0..2 {
        is_judged_by_spans(&stage.outcome().await);
    }
    for (name, key, collector) in
        [("shop", "tenant-key-1", &stage.collector), ("bakery", "tenant-key-2", &collector)]
    {
        assert_eq!(agents_spans(collector), all_names());
        let spans = collector.spans();
        let services: BTreeSet<String> =
            spans.iter().map(|span| span.resource["service.name"].to_string()).collect();
        assert!(services.len() == 2 && services.contains(&format!("\"{name}\"")), "{services:?}");
        let key = format!("Bearer {key}");
        assert!(collector.attempts().iter().all(|sent| sent.header("authorization") == Some(&key)));
    }
}

#[tokio::test]
async fn spans_of_two_tenants_never_meet() {
    two_tenants_keep_their_spans(json!({}), HeaderMap::new()).await;
}

#[tokio::test]
async fn tenants_whose_runs_continue_the_same_trace_get_only_the_spans_of_their_own_calls() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    two_tenants_keep_their_spans(json!({ "traceContext": "continue" }), headers).await;
}

#[tokio::test]
async fn spans_of_a_call_whose_worker_was_lost_are_passed_on_and_count_for_nothing() {
    let mut stage = Stage::new(
        place().with("CONSUMER__ACK_WAIT_SECONDS", "2").with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "2"),
    )
    .await;
    let first = stage.place.serve().await;
    stage.ask(&json!({})).await;
    within(async || stage.agent.asked().len() == 1).await;
    first.kill().await;
    let second = stage.place.serve().await;
    within(async || stage.agent.asked().len() == 2).await;
    stage.agent.sends_to(to(&second));
    let outcome = stage.outcome().await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    assert_eq!(outcome["messages"][1]["traceToolCalls"].as_array().unwrap().len(), 1, "{outcome}");
    let telemetry = &outcome["telemetry"];
    let names = stage.names();
    assert_eq!(number(telemetry, "received"), names.len() as u64, "{telemetry}");
    assert!(names.len() as u64 > SPANS, "some of the lost call came, too: {names:?}");
}

#[tokio::test]
async fn spans_of_an_agent_that_its_tenants_endpoint_does_not_take_are_spooled_and_come_later() {
    let place =
        place().with("TELEMETRY__RUN__DEADLINE_SECONDS", "2").with("TELEMETRY__SPOOL__RETRY_SECONDS", "1");
    let mut stage = Stage::new(place).await;
    stage.collector.become_mode(Mode::Refuse(503));
    let worker = stage.place.serve().await;
    stage.agent.sends_to(to(&worker));
    stage.ask(&json!({})).await;
    let outcome = stage.outcome().await;
    let telemetry = &outcome["telemetry"];
    assert_eq!(
        (&telemetry["spooled"], number(telemetry, "received")),
        (&telemetry["spans"], SPANS),
        "{telemetry}"
    );
    stage.collector.become_mode(Mode::Ok);
    let spans = number(telemetry, "spans");
    within(async || stage.collector.spans().len() as u64 == spans).await;
    assert_eq!(stage.names(), all_names());
}
