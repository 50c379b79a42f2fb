//! Recording a run and hearing it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use scenario_worker::definitions::Scenario;
use scenario_worker::events::{Attribution, RunCompleted, RunStatus};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::orchestrator::RunEnd;
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::{AnswerForm, VERDICT_TOOL};

use crate::support::judge::{Does, JudgePlay, writes};
use crate::support::play::{Agent, Hangs, Shelf, Stage, request, scenario};

async fn play(stage: Stage, asked: Value) -> RunCompleted {
    super::outcome(stage.play(&request(&asked)).await)
}

async fn recorded() -> (Arc<Shelf>, RunCompleted) {
    let stage = Stage { verdict_in_turn: 2, ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let outcome = play(stage, json!({ "cassette": "record", "scenarioRunId": "one" })).await;
    (shelf, outcome)
}

/// Somebody else's words everywhere: whatever is heard is the recording.
fn other_voices(cassettes: Arc<Shelf>) -> Stage {
    let (agent, customer) = (Agent::Fails("nobody is there"), "something else");
    Stage { cassettes, agent, customer, verdict: json!({}), ..Stage::default() }
}

/// All of an outcome that is not a time or an id.
fn essence(outcome: &RunCompleted) -> String {
    let mut outcome = serde_json::to_value(outcome).unwrap();
    for changing in ["scenarioRunId", "batchRunId", "startedAt", "finishedAt", "durationMs"] {
        outcome.as_object_mut().unwrap().remove(changing);
    }
    outcome.to_string()
}

#[tokio::test]
async fn a_replay_equals_its_recording_byte_for_byte_and_asks_nobody() {
    let (shelf, first) = recorded().await;
    let stage = other_voices(shelf);
    let record = Arc::clone(&stage.record);
    let second = play(stage, json!({ "cassette": "replay", "scenarioRunId": "two" })).await;
    assert_eq!(first.status, RunStatus::Success);
    assert_eq!(essence(&second), essence(&first));
    assert!(record.asked.lock().unwrap().is_empty(), "nobody is asked");
}

#[tokio::test]
async fn a_replay_that_differs_names_the_first_call_that_does() {
    let (shelf, _) = recorded().await;
    let mut changed = scenario();
    changed.situation = "A cup broke.".into();
    let stage = Stage { scenario: Some(changed), ..other_voices(shelf) };
    let error = play(stage, json!({ "cassette": "replay" })).await.error.unwrap();
    assert_eq!(error.code, "cassette_differs");
    assert!(error.message.contains("call 1 of the customer"), "{}", error.message);
    assert!(
        error.message.contains("A mug broke") && error.message.contains("A cup broke"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_run_that_goes_on_behind_the_recording_says_where_it_ended() {
    let (shelf, _) = recorded().await;
    let mut longer = scenario();
    longer.min_turns = Some(3);
    let stage = Stage { scenario: Some(longer), ..other_voices(shelf) };
    let error = play(stage, json!({ "cassette": "replay" })).await.error.unwrap();
    assert!(error.message.contains("has no call 3 of the customer"), "{}", error.message);
}

#[tokio::test]
async fn a_cassette_without_a_finished_recording_cannot_be_replayed() {
    let error =
        play(Stage::default(), json!({ "cassette": { "mode": "replay", "name": "x" } })).await.error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("cassette_not_found", "Cassette 'x' holds no recording")
    );
}

#[tokio::test]
async fn a_failure_is_recorded_and_replayed_too() {
    let stage = Stage { agent: Agent::Fails("HTTP 500"), ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let first = play(stage, json!({ "cassette": "record" })).await;
    let stage = Stage { cassettes: shelf, hangs: Some(Hangs::Judge), ..Stage::default() };
    let second = play(stage, json!({ "cassette": "replay" })).await;
    assert_eq!((first.error.as_ref(), first.messages), (second.error.as_ref(), second.messages));
    assert_eq!(second.error.unwrap().message, "HTTP 500");
}

#[tokio::test]
async fn an_agent_who_would_be_asked_otherwise_is_a_difference() {
    let (shelf, _) = recorded().await;
    let stage = Stage { instructions: Some("Be rude."), ..other_voices(shelf) };
    let error = play(stage, json!({ "cassette": "replay" })).await.error.unwrap();
    assert_eq!(error.code, "cassette_differs");
    let told = "call 1 of the target differs at `call.instructions`: recorded \"Be kind.\", now \"Be rude.\"";
    assert!(error.message.contains(told), "{}", error.message);
}

#[tokio::test]
async fn an_agent_who_is_not_there_any_more_is_heard_all_the_same() {
    let (shelf, first) = recorded().await;
    let stage = Stage { instructions: None, ..other_voices(shelf) };
    assert_eq!(essence(&play(stage, json!({ "cassette": "replay" })).await), essence(&first));
}

#[tokio::test]
async fn a_recording_that_comes_to_nothing_leaves_the_cassette_as_it_was() {
    let (shelf, first) = recorded().await;
    let anew = || Stage { cassettes: Arc::clone(&shelf), ..Stage::default() };
    let cancelled = Stage { cancelled_in_journal: true, ..anew() };
    let failed = Stage { agent: Agent::Fails("HTTP 500"), ..anew() };
    for (run, stage, status) in
        [("two", cancelled, RunStatus::Cancelled), ("three", failed, RunStatus::Error)]
    {
        let outcome = play(stage, json!({ "cassette": "record", "scenarioRunId": run })).await;
        assert_eq!(outcome.status, status);
        let replayed = play(other_voices(Arc::clone(&shelf)), json!({ "cassette": "replay" })).await;
        assert_eq!(essence(&replayed), essence(&first), "{run}");
    }
}

#[tokio::test]
async fn a_cancelled_run_becomes_no_cassette() {
    let stage = Stage { cancelled_in_journal: true, ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    play(stage, json!({ "cassette": "record" })).await;
    let error = play(other_voices(shelf), json!({ "cassette": "replay" })).await.error.unwrap();
    assert_eq!(error.code, "cassette_not_found");
}

fn with_secret() -> Scenario {
    let parameters = serde_json::from_value(json!([{ "name": "token", "secret": true }])).unwrap();
    Scenario { parameters, ..scenario() }
}

#[tokio::test]
async fn a_replay_needs_no_secret() {
    let stage = Stage { scenario: Some(with_secret()), ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let first = play(stage, json!({ "cassette": "record", "parameters": { "token": "hunter2" } })).await;
    let replay = |parameters: Value| {
        let stage = Stage { scenario: Some(with_secret()), ..other_voices(Arc::clone(&shelf)) };
        play(stage, json!({ "cassette": "replay", "parameters": parameters }))
    };
    assert_eq!(first.status, RunStatus::Success);
    for parameters in [json!({}), json!({ "token": "" }), json!({ "token": "other" })] {
        assert_eq!(essence(&replay(parameters).await), essence(&first));
    }
    assert_eq!(replay(json!({ "token": 7 })).await.error.unwrap().code, "scenario_parameter_invalid");
}

fn panel_of(judges: [&str; 3], cassette: &str) -> Value {
    json!({ "cassette": cassette, "scenarioRunId": "one", "models": { "judge": judges } })
}

#[tokio::test]
async fn another_judge_in_a_panel_is_a_difference_and_no_abstention() {
    let stage = Stage::default();
    let shelf = Arc::clone(&stage.cassettes);
    let first = play(stage, panel_of(["one/m", "two/m", "three/m"], "record")).await;
    let other = panel_of(["one/m", "two/m", "other/m"], "replay");
    let error = play(other_voices(Arc::clone(&shelf)), other).await.error.unwrap();
    assert_eq!((first.status, error.code.as_str()), (RunStatus::Success, "cassette_differs"));
    assert!(error.message.contains("call 1 of judge 3"), "{}", error.message);
}

/// Judges of whom those of `plain` take neither tools nor schemas. With `stuck`, the first of those never answers.
fn plain_spoken(stuck: bool) -> JudgePlay {
    let first = AtomicBool::new(stuck);
    Arc::new(move |model, request| {
        let plain = model.provider == "plain";
        let spec = request.form.spec().unwrap();
        let refuses =
            RunFailure::new("http_status", Attribution::ModelProvider, "not in this form").refusing();
        match request.form {
            AnswerForm::Json(_) if first.swap(false, Ordering::Relaxed) => Does::Hangs,
            AnswerForm::Tool(_) | AnswerForm::Schema(_) if plain => Does::Fails(refuses),
            _ => writes(answer(&spec.name)),
        }
    })
}

fn answer(tool: &str) -> String {
    let met = json!({ "status": "met", "evidence": ["I am sorry"], "reasoning": "r" });
    let verdict = json!({ "criteria": { "c1": met }, "reasoning": "All in all." });
    let decision = json!({ "decision": "verdict", "reasoning": "r" });
    (if tool == VERDICT_TOOL { verdict } else { decision }).to_string()
}

#[tokio::test]
async fn a_recording_that_changed_its_worker_in_a_panel_is_heard_as_it_ended() {
    let mut judged_at_once = scenario();
    judged_at_once.max_turns = Some(1);
    let judges = ["plain/m", "plain/m", "quick/m"];
    let asked = request(&panel_of(judges, "record"));
    let stage =
        Stage { scenario: Some(judged_at_once.clone()), judge: Some(plain_spoken(true)), ..Stage::default() };
    let (stop, record, shelf) = (stage.stop.clone(), stage.record.clone(), Arc::clone(&stage.cassettes));
    let stuck = || {
        let conversation = record.conversation.lock().unwrap();
        let ballots = conversation.as_ref().and_then(|conversation| conversation.ballots.as_ref());
        ballots.is_some_and(|ballots| ballots.cast.len() == 2)
    };
    let hand_back = async {
        while !stuck() {
            tokio::task::yield_now().await;
        }
        stop.stop(StopReason::HandBack);
    };
    let (end, ()) = tokio::join!(stage.play(&asked), hand_back);
    assert!(matches!(end, RunEnd::Interrupted { .. }));
    let resumed = record.conversation.lock().unwrap().take();
    let stage = Stage {
        scenario: Some(judged_at_once.clone()),
        judge: Some(plain_spoken(false)),
        cassettes: Arc::clone(&shelf),
        resumed,
        ..Stage::default()
    };
    let first = super::outcome(stage.play(&asked).await);
    let stage = Stage { scenario: Some(judged_at_once), ..other_voices(shelf) };
    let second = play(stage, panel_of(judges, "replay")).await;
    assert_eq!((first.status, second.error), (RunStatus::Success, None));
    assert_eq!((first.criteria, first.messages), (second.criteria, second.messages));
}
