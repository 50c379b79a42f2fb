//! A run whose worker falls asleep, is cut off or dies at an awkward moment: who may still speak for it, and what is said.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};

use super::strangers::{definitions, next, offline, outcome, publish, request};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::nats::NatsServer;
use crate::support::openai::{self, ModelServer};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, within};

/// The state of the run that the tests ask for.
const STATE: &str = "run.acme.mine";
const LOSSES: &str = "scenario_worker_lease_losses_total";

async fn states(client: &Client) -> Store {
    async_nats::jetstream::new(client.clone()).get_key_value("SCENARIO_RUNS").await.unwrap()
}

async fn ask_for_mine(client: &Client) {
    let mine = request(&json!({ "scenarioRunId": "mine" }));
    publish(client, "scenario.run.requested", HeaderMap::new(), mine).await;
}

/// Writes the run's state as another worker does that takes the run over.
async fn take_over(client: &Client) {
    let states = states(client).await;
    let mut state: Value = serde_json::from_slice(&states.get(STATE).await.unwrap().unwrap()).unwrap();
    state["claim"] = json!(1);
    states.put(STATE, state.to_string().into()).await.unwrap();
}

/// The outcome of the run as the stream has it.
async fn stored_outcome(client: &Client) -> Option<Value> {
    let stream = async_nats::jetstream::new(client.clone()).get_stream("SCENARIO_EVENTS").await.unwrap();
    let stored = stream.get_last_raw_message_by_subject("scenario.events.acme.mine.completed").await.ok()?;
    serde_json::from_slice(&stored.payload).ok()
}

async fn has_lost_its_run(worker: &Worker) {
    within(async || worker.metric(LOSSES).await > 0.0).await;
}

/// An agent that refuses, and an endpoint for traces that never answers: a run that has ended and is not told.
async fn ended_and_not_told(
    place: &Place,
    on_unknown: &str,
) -> (ModelServer, HttpAgent, OtlpReceiver, Worker) {
    let models = ModelServer::playing().await;
    let agent = HttpAgent::start(|_| Answer::status(400, "no such customer")).await;
    let otlp = OtlpReceiver::start(Mode::Hang).await;
    let all = definitions(&models.base_url(), agent.url(), &otlp.endpoint());
    let wanted = format!("    onUnknown: {on_unknown}\nscenarios:");
    place.import(&all.replace("scenarios:", &wanted)).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    ask_for_mine(&client).await;
    within(async || has_ending(&client).await).await;
    (models, agent, otlp, worker)
}

async fn has_ending(client: &Client) -> bool {
    let Some(state) = states(client).await.get(STATE).await.unwrap() else { return false };
    let state: Value = serde_json::from_slice(&state).unwrap();
    state["conversation"]["ending"].is_object()
}

#[tokio::test]
async fn a_run_that_had_its_ending_when_its_worker_died_is_only_told_by_the_next() {
    for on_unknown in ["retry", "fail"] {
        let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
        let (_models, agent, otlp, worker) = ended_and_not_told(&place, on_unknown).await;
        worker.kill().await;
        otlp.become_mode(Mode::Ok);
        let mut outcomes = place.nats.client().await.subscribe("scenario.run.completed").await.unwrap();
        let _second = place.serve().await;
        let outcome = outcome(&mut outcomes).await;
        assert_eq!(outcome["error"]["code"], "http_status", "{outcome}");
        assert_eq!(agent.requests().len(), 1, "the agent is not asked again");
        let roots = otlp.spans().iter().filter(|span| span.parent_span_id.is_none()).count();
        assert_eq!(roots, 1, "{}", outcome["telemetry"]);
    }
}

#[tokio::test]
async fn a_worker_whose_run_is_taken_over_while_it_delivers_the_trace_publishes_no_outcome() {
    let place = Place::new().with("TELEMETRY__RUN__DEADLINE_SECONDS", "3");
    let (_models, _agent, _otlp, worker) = ended_and_not_told(&place, "retry").await;
    let client = place.nats.client().await;
    take_over(&client).await;
    has_lost_its_run(&worker).await;
    assert_eq!(stored_outcome(&client).await, None);
}

#[tokio::test]
async fn a_worker_whose_run_is_taken_over_in_a_long_call_gives_the_call_up() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "3");
    // Nothing but the other worker ends the call in time.
    let patient = offline(shop.url()).replace("outputPath", "timeoutSeconds: 600, outputPath");
    place.import(&patient).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    ask_for_mine(&client).await;
    within(async || !shop.questions().is_empty()).await;
    take_over(&client).await;
    has_lost_its_run(&worker).await;
    assert_eq!(stored_outcome(&client).await, None);
}

#[tokio::test]
async fn a_lease_is_confirmed_before_the_run_is_claimed() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let (_worker, client) = (place.serve().await, place.nats.client().await);
    // What a worker sends arrives in its order.
    let mut all = client.subscribe(">").await.unwrap();
    ask_for_mine(&client).await;
    let mut seen = Vec::new();
    while !seen.iter().any(|subject: &String| subject.starts_with("$KV.SCENARIO_RUNS.run.")) {
        seen.push(next(&mut all).await.subject.to_string());
    }
    assert!(seen.iter().any(|subject| subject.starts_with("$JS.ACK.SCENARIO_REQUESTS.")), "{seen:?}");
}

#[tokio::test]
async fn a_run_whose_worker_died_behind_its_outcome_is_finished_and_not_running_for_ever() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&offline(shop.url())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    ask_for_mine(&client).await;
    within(async || !shop.questions().is_empty()).await;
    first.kill().await;
    let outcome = json!({ "scenarioRunId": "mine", "projectId": "acme", "status": "FAILED" });
    publish(&client, "scenario.events.acme.mine.completed", HeaderMap::new(), outcome.to_string().into())
        .await;
    let _second = place.serve().await;
    let query = json!({ "projectId": "acme", "scenarioRunId": "mine" }).to_string();
    let report = async || {
        let answer = client.request("scenario.run.status", query.clone().into()).await.unwrap();
        serde_json::from_slice::<Value>(&answer.payload).unwrap()
    };
    within(async || report().await["phase"] == "finished").await;
    assert_eq!(report().await["status"], "FAILED");
    assert_eq!(shop.questions().len(), 1, "nobody is asked again");
}

#[tokio::test]
async fn a_run_whose_worker_died_in_its_first_call_began_when_it_was_said_to_begin() {
    let hangs = AtomicBool::new(true);
    let models = ModelServer::start(move |request| {
        if hangs.swap(false, Ordering::SeqCst) { openai::Answer::Hang } else { openai::play(&request.body) }
    })
    .await;
    let (shop, otlp) = (Shop::open(Duration::ZERO).await, OtlpReceiver::start(Mode::Ok).await);
    let place = Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2");
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let mut events = client.subscribe("scenario.run.*").await.unwrap();
    ask_for_mine(&client).await;
    within(async || !models.received().is_empty()).await;
    first.kill().await;
    let _second = place.serve().await;
    let mut kinds = Vec::new();
    let (mut began, mut completed) = (Value::Null, Value::Null);
    while completed.is_null() {
        let event = next(&mut events).await;
        let kind = event.subject.rsplit('.').next().unwrap().to_owned();
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        match kind.as_str() {
            "started" => began = payload,
            "completed" => completed = payload,
            _ => {}
        }
        kinds.push(kind);
    }
    assert_eq!(kinds, ["requested", "started", "message", "message", "completed"]);
    assert_eq!(completed["startedAt"], began["startedAt"]);
    assert_eq!((&completed["status"], &completed["attempts"]), (&json!("SUCCESS"), &json!(2)));
}

#[tokio::test]
async fn a_run_whose_state_nobody_can_read_ends_and_says_so() {
    let shop = Shop::closed().await;
    let place = Place::new().with("CONSUMER__MAX_ATTEMPTS", "1");
    place.import(&offline(shop.url())).await;
    let (_worker, client) = (place.serve().await, place.nats.client().await);
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    states(&client).await.put(STATE, r#"{"phase":"future"}"#.into()).await.unwrap();
    let told = place.run(&["cancel", "--project", "acme", "mine"]).await;
    assert!(told.status.success(), "a worker answers");
    ask_for_mine(&client).await;
    let outcome = outcome(&mut outcomes).await;
    let error = &outcome["error"];
    assert_eq!(
        (&outcome["status"], &error["code"]),
        (&json!("ERROR"), &json!("state_unreadable")),
        "{outcome}"
    );
    assert_eq!(error["attributedTo"], "worker");
    assert!(shop.questions().is_empty(), "nobody knows what was asked before");
}

/// Longer than one write is tried, and much shorter than the lease.
const OUTAGE: Duration = Duration::from_secs(35);

#[tokio::test]
async fn an_answer_that_comes_in_a_long_outage_is_not_asked_for_again() {
    let mut server = NatsServer::start();
    let (shop, place) = (Shop::closed().await, Place::on(server.account(0)));
    let place = place.with("CONSUMER__ACK_WAIT_SECONDS", "240");
    place.import(&offline(shop.url())).await;
    let (worker, client) = (place.serve().await, place.nats.client().await);
    ask_for_mine(&client).await;
    within(async || !shop.questions().is_empty()).await;
    server.down();
    within(async || worker.get("/readyz").await.0 == 503).await;
    shop.open_doors();
    tokio::time::sleep(OUTAGE).await;
    server.up();
    within(async || worker.get("/readyz").await.0 == 200).await;
    let client = place.nats.client().await;
    within(async || stored_outcome(&client).await.is_some()).await;
    let outcome = stored_outcome(&client).await.unwrap();
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(1)));
    assert_eq!(shop.questions().len(), 1);
}
