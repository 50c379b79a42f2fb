//! A platform that does not take what it is told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Stage;
use crate::support::platform::Mode;
use crate::support::shop::Shop;
use crate::support::worker::{Place, within};

fn codes(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_the_platform_refuses_becomes_dead_letters_without_its_key_and_later_runs_are_told() {
    let mut stage = Stage::open(Mode::RefuseRun("bad", 400)).await;
    let worker = stage.place.serve().await;
    stage.ask("bad").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    within(async || {
        stage.platform.kinds_of("bad").last().is_some_and(|kind| kind == "SCENARIO_RUN_FINISHED")
    })
    .await;
    stage.ask("good").await;
    stage.shows("good", "SUCCESS").await;
    stage.has_nothing_left().await;
    let letters = stage.letters().await;
    let told = stage.platform.told_of("bad");
    assert_eq!(
        letters.len(),
        told.len(),
        "one letter for each refusal, and nothing refused is told again: {told:#?}"
    );
    assert!(codes(&letters).iter().all(|code| *code == "sink_refused"), "{letters:?}");
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("the beginning") && reason.contains("answered 400") && reason.contains("[redacted]"),
        "{reason}"
    );
    assert_eq!(letters[0]["subject"], "scenario.events.acme.bad.started");
    let bytes = STANDARD.decode(letters[0]["payload"].as_str().unwrap()).unwrap();
    let event: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(event["scenarioRunId"], "bad");
    let (_, metrics) = worker.get("/metrics").await;
    let counted = format!("scenario_worker_sink_posts_total{{result=\"refused\"}} {}", letters.len());
    assert!(metrics.contains(&counted), "{metrics}");
    worker.terminate();
    let log = worker.ended().await.1.join("\n");
    assert!(log.contains("dead letter") && !log.contains("key-1"), "{log}");
    assert!(!json!(letters).to_string().contains("key-1"));
}

#[tokio::test]
async fn a_platform_without_room_for_a_run_is_not_told_more_of_it_and_of_others_it_is() {
    let mut stage = Stage::open(Mode::RefuseRun("fourth", 403)).await;
    let _worker = stage.place.serve().await;
    stage.ask("fourth").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    stage.ask("other").await;
    stage.shows("other", "SUCCESS").await;
    stage.has_nothing_left().await;
    assert_eq!(stage.platform.kinds_of("fourth"), ["SCENARIO_RUN_STARTED"]);
    let letters = stage.letters().await;
    assert_eq!(codes(&letters), ["sink_refused"]);
    assert!(
        letters[0]["reason"].as_str().unwrap().contains("will not be told more of the run"),
        "{letters:?}"
    );
}

#[tokio::test]
async fn whoever_asks_to_be_left_alone_is_left_alone_and_told_afterwards() {
    let refuse = Mode::RefuseAtFirst { times: 1, status: 429, retry_after: Some(3) };
    let mut stage = Stage::open(refuse).await;
    let worker = stage.place.serve().await;
    stage.ask("mine").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    stage.shows("mine", "SUCCESS").await;
    let told = stage.platform.told();
    assert!(told[1].at - told[0].at >= Duration::from_secs(3), "{:?}", told[1].at - told[0].at);
    assert_eq!((stage.platform.complaints(), stage.letters().await), (vec![], vec![]));
    let (_, metrics) = worker.get("/metrics").await;
    assert!(metrics.contains("scenario_worker_sink_posts_total{result=\"retried\"} 1"), "{metrics}");
}

#[tokio::test]
async fn errors_of_the_platform_and_wrong_keys_and_web_sites_are_waited_out() {
    let mut stage = Stage::open(Mode::Take).await;
    let _worker = stage.place.serve().await;
    for (run, mode) in [
        ("failing", Mode::RefuseAtFirst { times: 2, status: 500, retry_after: None }),
        ("locked", Mode::RefuseAtFirst { times: 1, status: 401, retry_after: None }),
        ("page", Mode::Html),
    ] {
        let is_page = matches!(mode, Mode::Html);
        stage.platform.become_mode(mode);
        stage.ask(run).await;
        assert_eq!(stage.outcome().await["status"], "SUCCESS");
        within(async || !stage.platform.told_of(run).is_empty()).await;
        if is_page {
            assert_eq!(stage.platform.run("key-1", run), None, "a page is no answer of a platform");
            stage.platform.become_mode(Mode::Take);
        }
        stage.shows(run, "SUCCESS").await;
    }
    assert_eq!((stage.platform.complaints(), stage.letters().await), (vec![], vec![]));
}

#[tokio::test]
async fn what_became_too_old_is_one_dead_letter_of_the_outcome_and_later_runs_are_told() {
    let place = Place::new().with("TELEMETRY__SINK__RETENTION_SECONDS", "5");
    let mut stage = Stage::new(Shop::open(Duration::ZERO).await, Mode::Refuse(503), place).await;
    let worker = stage.place.serve().await;
    stage.ask("old").await;
    assert_eq!(stage.outcome().await["status"], "SUCCESS");
    within(async || !stage.letters().await.is_empty()).await;
    stage.has_nothing_left().await;
    let letters = stage.letters().await;
    assert_eq!(codes(&letters), ["sink_expired"]);
    assert_eq!(letters[0]["subject"], "scenario.events.acme.old.completed");
    stage.platform.become_mode(Mode::Take);
    stage.ask("new").await;
    stage.shows("new", "SUCCESS").await;
    assert_eq!(stage.platform.run("key-1", "old"), None);
    let (_, metrics) = worker.get("/metrics").await;
    assert!(metrics.contains("scenario_worker_sink_posts_total{result=\"expired\"} 1"), "{metrics}");
    let discarded = stage.place.run(&["dead-letters", "redrive", "--all"]).await;
    assert_eq!(discarded.status.code(), Some(2), "an event is no request");
}
