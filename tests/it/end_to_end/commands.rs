//! What a person types: exit codes, JSON lines, words.

use std::time::Duration;

use serde_json::json;

use super::strangers::{offline, outcome};
use crate::support::shop::Shop;
use crate::support::worker::{Place, json_lines, text, within};

const SCHEDULE: [&str; 7] =
    ["schedule", "--project", "acme", "--scenario", "refund", "--target", "http:shop"];

pub(super) fn schedule<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SCHEDULE, more].concat()
}

#[tokio::test]
async fn scheduling_and_waiting_prints_receipts_and_outcomes() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let output = place.run(&schedule(&["--repeat", "2", "--wait", "--json"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = json_lines(&output.stdout);
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["scheduled"], &lines[0]["duplicate"]), (&json!(true), &json!(false)));
    assert!(lines[0]["jobId"].as_str().unwrap().starts_with("acme:"));
    assert_eq!((&lines[2]["status"], &lines[3]["status"]), (&json!("SUCCESS"), &json!("SUCCESS")));
}

#[tokio::test]
async fn runs_that_are_scheduled_together_are_one_batch_and_cancelled_together() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let receipts = json_lines(&place.run(&schedule(&["--repeat", "2", "--json"])).await.stdout);
    let batch = receipts[0]["batchRunId"].as_str().unwrap();
    assert_eq!(receipts[1]["batchRunId"], batch);
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    client.flush().await.unwrap();
    let told = place.run(&["cancel", "--project", "acme", "--batch", batch]).await;
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    for _ in 0..receipts.len() {
        assert_eq!(outcome(&mut outcomes).await["status"], "CANCELLED");
    }
    let alone = json_lines(&place.run(&schedule(&["--json"])).await.stdout);
    assert_ne!(alone[0]["batchRunId"], batch, "another command, another batch");
    assert!(text(&place.run(&schedule(&["--repeat", "2"])).await.stderr).contains("batch scenariobatch_"));
}

#[tokio::test]
async fn the_same_key_twice_is_a_duplicate_and_one_run() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let first = json_lines(&place.run(&schedule(&["--key", "k", "--wait", "--json"])).await.stdout);
    let second = json_lines(&place.run(&schedule(&["--key", "k", "--wait", "--json"])).await.stdout);
    assert_eq!((&first[0]["duplicate"], &second[0]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(
        (&first[0]["jobId"], &first[0]["scenarioRunId"]),
        (&json!("acme:k"), &second[0]["scenarioRunId"])
    );
    assert_eq!(first[1], second[1], "one run, one outcome");
    assert_eq!(shop.questions().len(), 1);
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_anything_is_published() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let cases = [
        (["--scenario", "nope", "--target", "http:shop"], "Scenario nope not found"),
        (["--scenario", "refund", "--target", "http:nope"], "HTTP agent nope not found"),
        (["--scenario", "refund", "--target", "pigeon:x"], "Unknown target type: pigeon"),
    ];
    for (arguments, message) in cases {
        let output =
            place.run(&[&["schedule", "--project", "acme", "--json"], &arguments[..]].concat()).await;
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(json_lines(&output.stdout)[0]["error"]["message"], message);
        assert!(text(&output.stderr).contains(message));
    }
}

#[tokio::test]
async fn a_run_that_fails_and_a_broker_out_of_reach_have_their_exit_codes() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let failed = place.run(&schedule(&["--wait"])).await;
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert!(text(&failed.stdout).is_empty(), "what is for people goes to standard error");
    let unreachable = place.run(&schedule(&["--nats-url", "nats://127.0.0.1:9"])).await;
    assert_eq!(unreachable.status.code(), Some(3), "{}", text(&unreachable.stderr));
    assert!(text(&unreachable.stderr).contains("127.0.0.1:9"));
}

#[tokio::test]
async fn a_cancelled_run_ends_as_cancelled() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let waiting = place.command(&schedule(&["--run-id", "mine", "--wait", "--json"])).spawn().unwrap();
    within(async || !shop.questions().is_empty()).await;
    let cancelled = place.run(&["cancel", "--project", "acme", "mine"]).await;
    assert_eq!(cancelled.status.code(), Some(0), "{}", text(&cancelled.stderr));
    let output = waiting.wait_with_output().await.unwrap();
    let outcome = &json_lines(&output.stdout)[1];
    assert_eq!(
        (&outcome["status"], &outcome["reasoning"]),
        (&json!("CANCELLED"), &json!("Cancelled by user"))
    );
    assert_eq!((&outcome["verdict"], output.status.code()), (&json!("inconclusive"), Some(1)));
}

#[tokio::test]
async fn watching_a_run_shows_it_from_its_beginning() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    place.run(&schedule(&["--run-id", "mine", "--wait"])).await;
    let output = place.run(&["watch", "--run", "mine", "--json"]).await;
    let kinds: Vec<_> = json_lines(&output.stdout).iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["started", "message", "message", "completed"]);
    let shown = place.run(&["watch", "--run", "mine"]).await;
    let shown = text(&shown.stderr);
    assert!(shown.contains("my mug broke") && shown.contains("SUCCESS"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where there is no terminal");
}

#[tokio::test]
async fn a_broken_definition_file_imports_nothing_and_says_where() {
    let place = Place::new();
    let file = place.path("broken.yaml");
    let broken = offline("http://127.0.0.1:9/").replace("maxTurns: 2", "maxTurns: 2000");
    std::fs::write(&file, broken).unwrap();
    let output = place.run(&["import", file.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("broken.yaml:10:") && error.contains("maxTurns") && error.contains("2000"),
        "{error}"
    );
    let _worker = place.serve().await;
    let schedule = place.run(&schedule(&["--json"])).await;
    assert_eq!(schedule.status.code(), Some(2), "nothing was imported");
    assert!(text(&schedule.stderr).contains("there is no database file"), "{}", text(&schedule.stderr));
    assert!(!place.path("worker.db").exists(), "only an import creates it");
}

#[tokio::test]
async fn settings_are_checked_as_a_whole_and_shown_without_secrets() {
    let place = Place::new()
        .with("WORKER__CONCURRENCY", "0")
        .with("WORKER__COLOUR", "red")
        .with("RUN__MAX_TURNS", "many");
    let output = place.run(&["config", "check"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    for part in ["worker.concurrency", "worker.colour", "run.max_turns"] {
        assert!(error.contains(part), "{part} is missing in {error}");
    }
    let shown = Place::new().with("STORE__URL", "postgres://u:hunter2@h/d").run(&["config", "show"]).await;
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(
        shown.contains("ack_wait_seconds = 30") && shown.contains("[redacted]") && !shown.contains("hunter2"),
        "{shown}"
    );
}
