//! Runs heard again, and runs judged again.

use std::time::Duration;

use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::{Value, json};

use super::commands::schedule;
use super::strangers::offline;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, json_lines, text};

/// Schedules a run, waits for it, and returns its outcome.
async fn played(place: &Place, more: &[&str]) -> Value {
    let output = place.run(&schedule(&[&["--wait", "--json"], more].concat())).await;
    json_lines(&output.stdout).into_iter().nth(1).unwrap_or_else(|| panic!("{}", text(&output.stderr)))
}

#[tokio::test]
async fn a_recorded_run_is_replayed_without_agent_and_provider() {
    let shop = Shop::open(Duration::ZERO).await;
    let (place, collector) = (Place::new(), OtlpReceiver::start(Mode::Ok).await);
    let telemetry =
        format!(r#"offline/model, telemetry: {{ endpoint: "{}", protocol: otlp }} }}"#, collector.endpoint());
    let definitions = offline(shop.url()).replacen("offline/model }", &telemetry, 1);
    place.import(&definitions).await;
    let _worker = place.serve().await;
    let first = played(&place, &["--cassette", "record"]).await;
    // The provider would say something else now, and would be heard if it were asked.
    place.import(&definitions.replace("my mug broke", "somebody else's words")).await;
    let second = played(&place, &["--cassette", "replay"]).await;
    assert_eq!((&first["status"], &second["status"]), (&json!("SUCCESS"), &json!("SUCCESS")));
    for same in ["messages", "criteria", "reasoning", "usage"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_eq!(shop.questions().len(), 1, "the agent is asked for the recording only");
    let spans = collector.spans();
    let of_run = |outcome: &Value| {
        let calls = spans.iter().filter(|span| {
            span.name == "chat model" && outcome["telemetry"]["traceId"] == span.trace_id.as_str()
        });
        let said = |span: &ReceivedSpan, name: &str| span.attributes.get(name).cloned();
        let names = ["gen_ai.provider.name", "scenario.provider.id", "gen_ai.output.messages"];
        calls.map(|span| names.map(|name| said(span, name))).collect::<Vec<_>>()
    };
    assert_eq!(of_run(&first), of_run(&second), "a replay says who was asked, and what was answered");
    assert!(!of_run(&first).is_empty());
    assert!(of_run(&first).iter().all(|call| call[0] == Some(json!("scripted"))), "{:?}", of_run(&first));
}

#[tokio::test]
async fn a_replay_names_an_agent_whose_address_has_changed() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    assert_eq!(played(&place, &["--cassette", "record"]).await["status"], "SUCCESS");
    place.import(&offline("http://127.0.0.1:9/")).await;
    let error = &played(&place, &["--cassette", "replay"]).await["error"];
    assert_eq!(error["code"], "cassette_differs");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("call 1 of the target differs at `call.url`"), "{message}");
}

#[tokio::test]
async fn a_cassette_that_is_not_there_is_refused_before_anything_is_scheduled() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let output = place.run(&schedule(&["--cassette", "replay", "--cassette-name", "none", "--json"])).await;
    assert_eq!(output.status.code(), Some(2));
    let error = &json_lines(&output.stdout)[0]["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("cassette_not_found"), &json!("Cassette 'none' holds no recording"))
    );
}

#[tokio::test]
async fn a_finished_run_is_judged_by_other_criteria_without_asking_the_agent() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let first = played(&place, &["--run-id", "one"]).await;
    assert_eq!(first["success"], true);
    let again = place.run(&["rejudge", "--project", "acme", "one", "--json"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let other = [
        "rejudge",
        "--project",
        "acme",
        "one",
        "--json",
        "--criterion",
        "The agent sings",
        "--criterion",
        "The agent apologises",
    ];
    let other = place.run(&other).await;
    let judged = &json_lines(&other.stdout)[0];
    let texts: Vec<_> = judged["criteria"].as_array().unwrap().iter().map(|c| c["text"].clone()).collect();
    assert_eq!(texts, ["The agent sings", "The agent apologises"]);
    assert_eq!((&judged["rejudged"], &judged["messages"]), (&json!(true), &first["messages"]));
    assert_eq!(shop.questions().len(), 1, "the agent is asked in the run only");
    let unknown = place.run(&["rejudge", "--project", "acme", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("the run acme/nobody has no outcome"),
        "{}",
        text(&unknown.stderr)
    );
}

#[tokio::test]
async fn what_failed_by_a_check_of_its_script_is_not_judged_into_a_pass() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    let script = "maxTurns: 2, script: [user, agent, { check: { contains: never said } }]";
    place.import(&offline(shop.url()).replace("maxTurns: 2", script)).await;
    let _worker = place.serve().await;
    let first = played(&place, &["--run-id", "one"]).await;
    assert_eq!((&first["status"], &first["criteria"][0]["id"]), (&json!("FAILED"), &json!("s3")));
    let again = place.run(&["rejudge", "--project", "acme", "one", "--json"]).await;
    let judged = &json_lines(&again.stdout)[0];
    assert_eq!((&judged["status"], &judged["criteria"][0]), (&json!("FAILED"), &first["criteria"][0]));
    assert_eq!(again.status.code(), Some(1));
}

#[tokio::test]
async fn a_run_that_was_broken_off_is_not_judged_as_a_whole_and_no_criterion_is_nothing() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let first = played(&place, &["--run-id", "one"]).await;
    assert_eq!(first["error"]["attributedTo"], "target");
    let again = place.run(&["rejudge", "--project", "acme", "one"]).await;
    assert_eq!(again.status.code(), Some(2));
    let said = text(&again.stderr);
    assert!(said.contains("the run one was broken off") && said.contains("could not be reached"), "{said}");
    let empty = place.run(&["rejudge", "--project", "acme", "one", "--criterion", ""]).await;
    assert_eq!(empty.status.code(), Some(2));
}
