//! LangWatch is told of runs as they happen, whatever it does and whatever becomes of workers.

mod refusals;

use std::time::Duration;

use async_nats::{Client, HeaderMap, Subscriber};
use serde_json::{Value, json};

use super::strangers::{outcome, publish};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::platform::{LangWatch, Mode};
use crate::support::shop::Shop;
use crate::support::worker::{Place, within};

/// A customer who speaks twice, and an agent that has to be asked twice.
fn definitions(project: &str, agent: &str, telemetry: &str) -> String {
    format!(
        r#"
project: {{ id: {project}, defaultModel: offline/model, telemetry: {telemetry} }}
providers:
  - {{ id: offline, kind: scripted, models: {{ model: {{ replies: ["my mug broke"] }} }} }}
agents:
  - {{ id: shop, type: http, url: "{agent}", outputPath: "$.reply" }}
scenarios:
  - id: refund
    name: Refund request
    situation: You live in {{{{ region }}}}. Your mug broke.
    criteria: ["The agent apologises"]
    labels: [support]
    maxTurns: 4
    parameters: [{{ name: region, defaultValue: eu }}, {{ name: token, secret: true }}]
    script: [{{ user: My mug broke. }}, agent, {{ user: "And now?" }}, agent, judge]
"#
    )
}

/// Spans and runs go to one platform, with one key.
fn both(platform: &LangWatch, key: &str) -> String {
    format!(r#"{{ endpoint: "{}", apiKey: {key}, events: true }}"#, platform.url())
}

/// A place whose project has LangWatch told of its runs.
struct Stage {
    shop: Shop,
    platform: LangWatch,
    place: Place,
    client: Client,
    outcomes: Subscriber,
}

impl Stage {
    async fn new(shop: Shop, mode: Mode, place: Place) -> Self {
        let platform = LangWatch::start(mode).await;
        let place = place.with("TELEMETRY__SINK__RETRY_SECONDS", "1");
        place.import(&definitions("acme", shop.url(), &both(&platform, "key-1"))).await;
        let client = place.nats.client().await;
        let outcomes = client.subscribe("scenario.run.completed").await.unwrap();
        client.flush().await.unwrap();
        Self { shop, platform, place, client, outcomes }
    }

    async fn open(mode: Mode) -> Self {
        Self::new(Shop::open(Duration::ZERO).await, mode, Place::new()).await
    }

    async fn ask(&self, run: &str) {
        self.ask_for("acme", "refund", run).await;
    }

    async fn ask_for(&self, project: &str, scenario: &str, run: &str) {
        let request = json!({
            "projectId": project, "scenarioId": scenario, "scenarioRunId": run, "batchRunId": "batch 1",
            "target": { "type": "http", "referenceId": "shop" }, "parameters": { "token": "hunter2" },
        });
        publish(&self.client, "scenario.run.requested", HeaderMap::new(), request.to_string().into()).await;
    }

    async fn outcome(&mut self) -> Value {
        outcome(&mut self.outcomes).await
    }

    /// Waits until the platform shows the run with this status.
    async fn shows(&self, run: &str, status: &str) {
        within(async || self.platform.run("key-1", run).is_some_and(|run| run.status == status)).await;
    }

    /// What the command lists.
    async fn letters(&self) -> Vec<Value> {
        let output = self.place.run(&["dead-letters", "list", "--project", "acme", "--json"]).await;
        crate::support::worker::json_lines(&output.stdout)
    }

    /// Waits until nothing waits to be told any more.
    async fn has_nothing_left(&self) {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        within(async || {
            let stream = jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
            let consumer = stream.consumer_info("scenario-sink").await.unwrap();
            consumer.num_pending == 0 && consumer.num_ack_pending == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_consumer_that_is_deleted_under_a_worker_is_made_anew_and_runs_go_on() {
    let mut stage = Stage::open(Mode::Take).await;
    let worker = stage.place.serve().await;
    let jetstream = async_nats::jetstream::new(stage.client.clone());
    let events = jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
    events.delete_consumer("scenario-sink").await.unwrap();
    stage.ask("meanwhile").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    within(async || events.consumer_info("scenario-sink").await.is_ok()).await;
    stage.ask("later").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    stage.shows("later", "SUCCESS").await;
    assert!(
        worker.metric("scenario_worker_sink_posts_total{result=\"retried\"}").await >= 1.0,
        "it was counted"
    );
}

#[tokio::test]
async fn the_platform_shows_a_run_while_it_happens_and_all_that_came_of_it() {
    let mut stage = Stage::new(Shop::closed().await, Mode::Take, Place::new()).await;
    let worker = stage.place.serve().await;
    stage.ask("mine").await;
    let said = || stage.platform.run("key-1", "mine").map(|run| (run.status, run.messages.len()));
    within(async || said() == Some(("IN_PROGRESS".to_owned(), 1))).await;
    stage.shop.open_doors();
    let outcome = stage.outcome().await;
    stage.shows("mine", "SUCCESS").await;
    let run = stage.platform.run("key-1", "mine").unwrap();
    let metadata = json!({
        "langwatch": { "targetReferenceId": "shop", "targetType": "http" },
        "target": { "type": "http", "referenceId": "shop" },
        "parameters": { "region": "eu" }, "labels": ["support"],
        "name": "Refund request", "description": "You live in eu. Your mug broke.",
    });
    assert_eq!(run.metadata, metadata);
    let texts: Vec<_> =
        run.messages.iter().map(|m| (m["role"].as_str().unwrap(), m["content"].as_str().unwrap())).collect();
    let reply = "I am sorry, I refund you.";
    assert_eq!(
        texts,
        [("user", "My mug broke."), ("assistant", reply), ("user", "And now?"), ("assistant", reply)]
    );
    assert!(run.messages.iter().all(|message| message["trace_id"] == outcome["telemetry"]["traceId"]));
    let results = json!({ "verdict": "success", "reasoning": outcome["reasoning"],
        "metCriteria": ["The agent apologises"], "unmetCriteria": [] });
    assert_eq!(run.results, results);
    let end = stage.platform.told_of("mine").pop().unwrap().event;
    assert_eq!(
        (&end["batchRunId"], &end["scenarioId"], &end["scenarioSetId"]),
        (&json!("batch 1"), &json!("refund"), &json!("default"))
    );
    let told = stage.platform.told();
    assert!(told.iter().all(|told| told.key == "key-1" && !told.event.to_string().contains("hunter2")));
    stage.has_nothing_left().await;
    assert_eq!(
        (stage.platform.complaints(), stage.platform.told().len()),
        (Vec::<String>::new(), told.len())
    );
    let (_, metrics) = worker.get("/metrics").await;
    assert!(
        metrics.contains(&format!("scenario_worker_sink_posts_total{{result=\"delivered\"}} {}", told.len())),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_platform_that_was_down_for_the_whole_run_hears_of_it_in_order_from_another_worker() {
    let place = Place::new().with("TELEMETRY__SINK__TIMEOUT_SECONDS", "2");
    let mut stage = Stage::new(Shop::open(Duration::ZERO).await, Mode::Refuse(503), place).await;
    let first = stage.place.serve().await;
    stage.ask("mine").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    within(async || !stage.platform.told().is_empty()).await;
    first.kill().await;
    stage.platform.become_mode(Mode::Take);
    let before = stage.platform.told().len();
    let _second = stage.place.serve().await;
    stage.shows("mine", "SUCCESS").await;
    let kinds = stage.platform.kinds_of("mine").split_off(before);
    assert_eq!(kinds, ["SCENARIO_RUN_STARTED", "SCENARIO_MESSAGE_SNAPSHOT", "SCENARIO_RUN_FINISHED"]);
    assert_eq!(stage.platform.run("key-1", "mine").unwrap().messages.len(), 4);
    stage.has_nothing_left().await;
    assert_eq!((stage.platform.complaints(), stage.letters().await), (vec![], vec![]));
}

#[tokio::test]
async fn a_worker_that_is_killed_while_it_tells_is_replaced_and_the_order_stays() {
    const RUNS: [&str; 3] = ["one", "two", "three"];
    let place = Place::new().with("TELEMETRY__SINK__TIMEOUT_SECONDS", "2");
    let mut stage = Stage::new(Shop::closed().await, Mode::Take, place).await;
    let first = stage.place.serve().await;
    for run in RUNS {
        stage.ask(run).await;
        within(async || stage.platform.run("key-1", run).is_some_and(|run| run.messages.len() == 1)).await;
    }
    // What follows is on its way when the worker is lost.
    stage.platform.become_mode(Mode::Hang);
    let before = stage.platform.told().len();
    stage.shop.open_doors();
    for _ in RUNS {
        stage.outcome().await;
    }
    within(async || stage.platform.told().len() > before).await;
    first.kill().await;
    stage.platform.become_mode(Mode::Take);
    let (_second, _third) = tokio::join!(stage.place.serve(), stage.place.serve());
    for run in RUNS {
        stage.shows(run, "SUCCESS").await;
        assert_eq!(stage.platform.run("key-1", run).unwrap().messages.len(), 4);
    }
    stage.has_nothing_left().await;
    assert_eq!(stage.platform.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn many_runs_on_several_workers_are_each_told_in_their_order_by_one_at_a_time() {
    const RUNS: usize = 12;
    let mut stage = Stage::open(Mode::Slow(Duration::from_millis(20))).await;
    let (_first, _second, _third) =
        tokio::join!(stage.place.serve(), stage.place.serve(), stage.place.serve());
    for number in 0..RUNS {
        stage.ask(&format!("run{number}")).await;
    }
    for _ in 0..RUNS {
        assert_eq!(stage.outcome().await["status"], "SUCCESS");
    }
    within(async || stage.platform.statuses("key-1") == vec!["SUCCESS"; RUNS]).await;
    stage.has_nothing_left().await;
    assert_eq!(stage.platform.complaints(), Vec::<String>::new());
    let starts = stage.platform.told().iter().filter(|told| told.kind() == "SCENARIO_RUN_STARTED").count();
    assert_eq!(starts, RUNS, "nothing is told twice where nothing goes wrong");
}

#[tokio::test]
async fn a_platform_that_hangs_delays_no_run_and_no_other_project_whose_platform_has_a_key_of_its_own() {
    let mut stage = Stage::open(Mode::Hang).await;
    let other = LangWatch::start(Mode::Take).await;
    let own = format!(
        r#"{{ endpoint: "{}", apiKey: key-2, events: {{ endpoint: "{}", apiKey: key-3 }} }}"#,
        stage.platform.url(),
        other.url()
    );
    stage.place.import(&definitions("beta", stage.shop.url(), &own)).await;
    let worker = stage.place.serve().await;
    for number in 0..8 {
        stage.ask(&format!("mine{number}")).await;
    }
    for _ in 0..8 {
        assert_eq!(stage.outcome().await["status"], "SUCCESS");
    }
    stage.ask_for("beta", "refund", "theirs").await;
    within(async || other.statuses("key-3") == ["SUCCESS"]).await;
    assert_eq!(stage.platform.statuses("key-1"), Vec::<String>::new());
    assert!(stage.platform.told().iter().all(|told| told.key == "key-1" && told.run().starts_with("mine")));
    assert!(other.told().iter().all(|told| told.key == "key-3" && told.run() == "theirs"));
    worker.terminate();
    assert_eq!(worker.ended().await.0.code(), Some(0));
    assert_eq!((stage.platform.complaints(), other.complaints()), (vec![], vec![]));
}

#[tokio::test]
async fn a_run_that_never_came_to_be_played_and_a_cancelled_one_are_shown_as_what_they_are() {
    let mut stage = Stage::new(Shop::closed().await, Mode::Take, Place::new()).await;
    let _worker = stage.place.serve().await;
    stage.ask_for("acme", "nowhere", "lost").await;
    assert_eq!(stage.outcome().await["status"], "ERROR");
    stage.shows("lost", "ERROR").await;
    let lost = stage.platform.run("key-1", "lost").unwrap();
    assert_eq!(lost.metadata["name"], "Unknown Scenario");
    assert_eq!(
        (&lost.results["verdict"], &lost.results["reasoning"]),
        (&json!("failure"), &json!("Scenario nowhere not found"))
    );
    let error: Value = serde_json::from_str(lost.results["error"].as_str().unwrap()).unwrap();
    assert_eq!(error["code"], "scenario_infra_error");
    assert_eq!(error["message"], "Scenario nowhere not found");

    stage.ask("stopped").await;
    within(async || !stage.shop.questions().is_empty()).await;
    let output = stage.place.run(&["cancel", "--project", "acme", "stopped"]).await;
    assert!(output.status.success());
    stage.shows("stopped", "CANCELLED").await;
    let results = stage.platform.run("key-1", "stopped").unwrap().results;
    assert_eq!(
        (&results["verdict"], &results["error"]),
        (&json!("inconclusive"), &json!("Cancelled by user"))
    );
    assert_eq!(stage.platform.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_long_message_is_cut_and_says_so_and_still_more_where_the_platform_finds_it_too_large() {
    let long = "é".repeat(50_000);
    let agent = HttpAgent::start(move |_| Answer::json(&json!({ "reply": long }))).await;
    let mut stage = Stage::open(Mode::Take).await;
    stage.place.import(&definitions("acme", agent.url(), &both(&stage.platform, "key-1"))).await;
    let _worker = stage.place.serve().await;
    for (run, mode, cap) in [("whole", Mode::Take, 65_536), ("small", Mode::AtMost(20_000), 8_192)] {
        stage.platform.become_mode(mode);
        stage.ask(run).await;
        assert_eq!(stage.outcome().await["status"], "SUCCESS");
        stage.shows(run, "SUCCESS").await;
        let shown = stage.platform.run("key-1", run).unwrap();
        let reply = shown.messages[1]["content"].as_str().unwrap();
        let mark = format!("[truncated: message content was 100000 bytes (cap {cap})]");
        assert!(reply.starts_with('é') && reply.ends_with(&mark) && reply.len() <= cap, "{}", reply.len());
    }
    assert!(stage.platform.told_of("small").iter().any(|told| told.bytes > 20_000));
    assert_eq!((stage.platform.complaints(), stage.letters().await), (vec![], vec![]));
}

#[tokio::test]
async fn nobody_is_told_where_nobody_asked_for_it() {
    let mut stage = Stage::open(Mode::Take).await;
    let silent = format!(r#"{{ endpoint: "{}", apiKey: key-1 }}"#, stage.platform.url());
    stage.place.import(&definitions("beta", stage.shop.url(), &silent)).await;
    let _worker = stage.place.serve().await;
    stage.ask_for("beta", "refund", "untold").await;
    let outcome = stage.outcome().await;
    assert_eq!(outcome["telemetry"]["spans"], outcome["telemetry"]["exported"], "the platform was there");
    stage.ask("told").await;
    stage.shows("told", "SUCCESS").await;
    stage.has_nothing_left().await;
    assert!(stage.platform.told().iter().all(|told| told.run() == "told"));
}
