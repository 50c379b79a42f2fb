//! What a person does with the program, from the definitions to the outcome.

use std::time::Duration;

use super::commands::schedule;
use super::strangers::offline;
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, json_lines, text};

/// What a person does with it: schedule, wait, watch.
pub(crate) async fn play(place: &Place) -> Worker {
    let shop = Shop::open(Duration::ZERO).await;
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let output = place.run(&schedule(&["--wait", "--json"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = json_lines(&output.stdout);
    assert_eq!(lines[1]["status"], "SUCCESS", "{lines:?}");
    let run = lines[0]["scenarioRunId"].as_str().unwrap();
    let watched = place.run(&["watch", "--run", run, "--json"]).await;
    assert_eq!(watched.status.code(), Some(0), "{}", text(&watched.stderr));
    assert_eq!(json_lines(&watched.stdout).last().unwrap()["status"], "SUCCESS");
    let cancelled = place.run(&["cancel", "--project", "acme", run]).await;
    assert!(text(&cancelled.stderr).contains("finished already"), "{}", text(&cancelled.stderr));
    worker
}

/// Stops the worker, so that it has done everything that it does.
pub(crate) async fn assert_nothing_was_denied(worker: Worker) {
    assert_eq!(worker.get("/readyz").await, (200, "ready\n".to_owned()));
    worker.terminate();
    let (ended, log) = worker.ended().await;
    let denials: Vec<_> = log.iter().filter(|line| line.contains("forbids this user")).collect();
    assert!(ended.success() && denials.is_empty(), "{denials:?}");
}
