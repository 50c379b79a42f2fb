//! What was played is found in the history, whatever becomes of workers and database.

use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::strangers::{offline, outcome, publish, request};
use crate::support::database::TestDatabase;
use crate::support::gate::Gate;
use crate::support::history;
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, json_lines, text, within};

const WRITES: &str = "scenario_worker_history_writes_total";
/// Processes that find an empty database at one time.
const AT_ONCE: usize = 6;

/// The runs that a command lists, as JSON.
async fn listed(place: &Place, more: &[&str]) -> Vec<Value> {
    let arguments = [&["runs", "list", "--json"], more].concat();
    let output = place.run(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    json_lines(&output.stdout)
}

async fn writes(worker: &Worker, result: &str) -> f64 {
    worker.metric(&format!("{WRITES}{{result=\"{result}\"}}")).await
}

async fn ask(client: &Client, run: &str) {
    let request = request(&json!({ "scenarioRunId": run }));
    publish(client, "scenario.run.requested", HeaderMap::new(), request).await;
}

/// The outcome of a run that ended just now: what is older than it may become goes at once.
fn fresh(run: &str, mut more: Value) -> Vec<u8> {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    more["finishedAt"] = now.into();
    history::outcome("acme", run, &more).to_string().into_bytes()
}

/// What a command for people says.
async fn said(place: &Place, arguments: &[&str], code: i32) -> String {
    let output = place.run(arguments).await;
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    said
}

#[tokio::test]
async fn a_run_that_is_over_is_listed_and_shown_once() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    assert!(said(&place, &["runs", "list"], 0).await.contains("no run of the history"));
    let worker = place.serve().await;
    let played = place
        .run(&[
            "schedule",
            "--project",
            "acme",
            "--scenario",
            "refund",
            "--target",
            "http:shop",
            "--wait",
            "--json",
        ])
        .await;
    let outcome = json_lines(&played.stdout).remove(1);
    let run = outcome["scenarioRunId"].as_str().unwrap();
    within(async || listed(&place, &["--project", "acme"]).await.len() == 1).await;

    let line = listed(&place, &["--status", "passed,error", "--since", "1h", "--scenario", "refund"])
        .await
        .remove(0);
    for field in ["scenarioRunId", "projectId", "target", "status", "verdict", "turns", "durationMs"] {
        assert_eq!(line[field], outcome[field], "{field}");
    }
    assert_eq!(line["traceId"], outcome["telemetry"]["traceId"]);
    assert_eq!(listed(&place, &["--status", "SUCCESS"]).await.len(), 1);
    assert_eq!(listed(&place, &["--status", "failed"]).await, Vec::<Value>::new());
    assert_eq!(listed(&place, &["--before", line["cursor"].as_str().unwrap()]).await, Vec::<Value>::new());
    let shown = place.run(&["runs", "show", "--project", "acme", run, "--json"]).await;
    assert_eq!(json_lines(&shown.stdout), std::slice::from_ref(&outcome));

    let list = said(&place, &["runs", "list"], 0).await;
    assert!(list.contains("✔ SUCCESS") && list.contains(run) && list.contains("http:shop"), "{list}");
    let report = said(&place, &["runs", "show", "--project", "acme", run], 0).await;
    for part in
        ["✔ SUCCESS", "✔ The agent apologises", "customer", "my mug broke", "I am sorry", "Usage", "Trace"]
    {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
    let tree = said(&place, &["runs", "show", "--project", "acme", run, "--tree"], 0).await;
    assert!(tree.contains("turn 1") && tree.contains("judge"), "{tree}");
    let missing = said(&place, &["runs", "show", "--project", "acme", "nobody"], 2).await;
    assert!(
        missing.contains("no run nobody of project acme") && missing.contains("watch --run"),
        "{missing}"
    );
    assert!((writes(&worker, "stored").await - 1.0).abs() < f64::EPSILON);
    let place = place.with("HISTORY__ENABLED", "false");
    let unwritten = said(&place, &["runs", "show", "--project", "acme", "nobody"], 2).await;
    assert!(unwritten.contains("`history.enabled` is false"), "{unwritten}");
}

#[tokio::test]
async fn what_is_delivered_again_is_written_once() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let worker = place.serve().await;
    for run in ["one", "two"] {
        ask(&client, run).await;
        outcome(&mut outcomes).await;
    }
    within(async || listed(&place, &[]).await.len() == 2).await;
    worker.kill().await;
    // A consumer that is made anew delivers all that there is.
    let jetstream = async_nats::jetstream::new(client);
    jetstream.delete_consumer_from_stream("scenario-history", "SCENARIO_EVENTS").await.unwrap();
    let worker = place.serve().await;
    within(async || writes(&worker, "known").await >= 2.0).await;
    assert_eq!(listed(&place, &[]).await.len(), 2);
    assert!(writes(&worker, "stored").await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_consumer_that_is_deleted_under_a_worker_is_made_anew_and_what_it_missed_is_written() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let worker = place.serve().await;
    let jetstream = async_nats::jetstream::new(client.clone());
    jetstream.delete_consumer_from_stream("scenario-history", "SCENARIO_EVENTS").await.unwrap();
    ask(&client, "missed").await;
    outcome(&mut outcomes).await;
    within(async || listed(&place, &[]).await.len() == 1).await;
    assert!(writes(&worker, "retried").await >= 1.0, "it was counted");
    ask(&client, "next").await;
    outcome(&mut outcomes).await;
    within(async || listed(&place, &[]).await.len() == 2).await;
}

#[tokio::test]
async fn a_deleted_consumer_is_waited_for_where_the_worker_may_not_make_it() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    place.serve().await.kill().await;
    let place = place.with("NATS__MANAGE_TOPOLOGY", "false");
    let worker = place.serve().await;
    let jetstream = async_nats::jetstream::new(client.clone());
    let events = jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
    let config = events.consumer_info("scenario-history").await.unwrap().config;
    events.delete_consumer("scenario-history").await.unwrap();
    within(async || writes(&worker, "retried").await >= 2.0).await;
    ask(&client, "missed").await;
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS", "runs go on");
    assert_eq!(listed(&place, &[]).await.len(), 0);
    let config = pull::Config::try_from_consumer_config(config).unwrap();
    events.create_consumer(config).await.unwrap();
    within(async || listed(&place, &[]).await.len() == 1).await;
}

#[tokio::test]
async fn an_outage_of_the_database_delays_no_outcome_and_loses_no_run_whose_worker_dies_in_it() {
    let name = "an_outage_of_the_database_delays_no_outcome_and_loses_no_run_whose_worker_dies_in_it";
    let Some(database) = TestDatabase::postgres(name).await else { return };
    let mut url: url::Url = database.url().parse().unwrap();
    let gate = Gate::before(format!("127.0.0.1:{}", url.port().unwrap())).await;
    url.set_port(Some(gate.address().port())).unwrap();
    let shop = Shop::closed().await;
    let place =
        Place::new().with("STORE__URL", url.as_str()).with("STORE__POOL__ACQUIRE_TIMEOUT_SECONDS", "1");
    place.import(&offline(shop.url())).await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let worker = place.serve().await;
    ask(&client, "mine").await;
    within(async || shop.questions().len() == 1).await;
    gate.close();
    shop.open_doors();
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    within(async || writes(&worker, "retried").await > 0.0).await;
    worker.kill().await;
    gate.open();
    let worker = place.serve().await;
    within(async || listed(&place, &[]).await.len() == 1).await;
    let stored = listed(&place, &[]).await.remove(0);
    assert_eq!(stored["scenarioRunId"], outcome["scenarioRunId"]);
    assert!((writes(&worker, "stored").await - 1.0).abs() < f64::EPSILON);
    worker.kill().await;
    database.drop_database().await;
}

#[tokio::test]
async fn a_transcript_that_was_too_long_for_the_outcome_is_in_the_history() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let client = place.nats.client().await;
    let worker = place.serve().await;
    let said = |run: &str, index: u32| {
        let ids = json!({ "scenarioRunId": run, "projectId": "acme", "scenarioId": "refund", "batchRunId": "b", "setId": "s" });
        let mut message = json!({ "index": index, "turn": 1, "role": "user", "content": format!("word {index}"),
            "traceId": "0af7651916cd43dd8448eb211c80319c", "at": "2026-02-10T12:00:00Z" });
        message.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
        message.to_string().into_bytes()
    };
    for (run, indices) in [("whole", vec![0, 1, 2]), ("gone", vec![1, 2])] {
        for index in indices {
            publish(
                &client,
                &format!("scenario.events.acme.{run}.message"),
                HeaderMap::new(),
                said(run, index),
            )
            .await;
        }
        let without = json!({ "messages": null, "messagesTruncated": true });
        let completed = fresh(run, without);
        publish(&client, &format!("scenario.events.acme.{run}.completed"), HeaderMap::new(), completed).await;
    }
    publish(&client, "scenario.events.acme.odd.completed", HeaderMap::new(), b"{}".to_vec()).await;
    within(async || listed(&place, &[]).await.len() == 2).await;
    within(async || writes(&worker, "refused").await > 0.0).await;
    let whole =
        json_lines(&place.run(&["runs", "show", "--project", "acme", "whole", "--json"]).await.stdout)
            .remove(0);
    let contents: Vec<_> =
        whole["messages"].as_array().unwrap().iter().map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["word 0", "word 1", "word 2"]);
    let report = self::said(&place, &["runs", "show", "--project", "acme", "gone"], 0).await;
    assert!(report.contains("is not kept any more"), "{report}");
    for part in [
        "✘ FAILED",
        "gone of acme",
        "✘ It apologises at once",
        "It never did.",
        "message 1: “Hello”",
        "2 not delivered",
        "the endpoint is away",
        "rejudge --project acme gone",
    ] {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
    let list = self::said(&place, &["runs", "list", "--status", "failed", "--limit", "1"], 0).await;
    assert!(list.contains("It apologises at once") && list.contains("older ones: --before "), "{list}");
}

#[tokio::test]
async fn what_an_agent_says_is_shown_and_not_obeyed() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let client = place.nats.client().await;
    let _worker = place.serve().await;
    let completed = fresh("evil", json!({}));
    publish(&client, "scenario.events.acme.evil.completed", HeaderMap::new(), completed).await;
    within(async || listed(&place, &[]).await.len() == 1).await;
    let report = said(&place, &["runs", "show", "--project", "acme", "evil"], 0).await;
    for part in ["Hello ␛[2J!", "find_order({\"number\":7})", "agent", "1.2 s", "0.500000 USD"] {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
}

#[tokio::test]
async fn commands_that_find_an_empty_database_at_one_time_all_make_do_with_one_migration() {
    let databases =
        [Some(TestDatabase::sqlite()), TestDatabase::postgres("commands_that_find_an_empty_database").await];
    for database in databases.into_iter().flatten() {
        let place = Place::new().with("STORE__URL", &database.url());
        let all = futures::future::join_all((0..AT_ONCE).map(|_| place.run(&["migrate"]))).await;
        for output in all {
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        }
        place.import(&offline("http://127.0.0.1:9/")).await;
        database.drop_database().await;
    }
}
