//! Processes that crash, are killed, ask for too much, hang, or are not there.

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::events::RunStatus;
use scenario_worker::execution::orchestrator::{Interruption, RunEnd};
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::{Conversation, Session};
use scenario_worker::isolation::Launcher;
use serde_json::json;

use super::programs::{advanced, error, outcome, played, played_as, says, shell};
use crate::support::play::{Record, Sessions, Stage, request};

/// A process that lets nobody stop it: only SIGKILL does.
const STUBBORN: &str = "trap '' TERM; while :; do sleep 1000; done";

/// A process that hangs is gone so soon after its run's time, whatever its run might still have come to.
const HUNG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_process_that_crashes_is_an_outcome_that_says_how() {
    for (script, code, how) in [
        ("exit 3", "child_crashed", "exit status: 3"),
        ("kill -9 $$", "child_crashed", "SIGKILL"),
        ("kill -SEGV $$", "child_crashed", "SIGSEGV"),
        // Half a message is the last word of who is killed in the middle of it.
        (r"printf '\000\000\000\100{\042mo'", "child_crashed", "exit status: 0"),
        (
            "echo 'memory allocation of 12 bytes failed' >&2; kill -ABRT $$",
            "child_out_of_memory",
            "536870912",
        ),
        ("echo 'something else failed' >&2; kill -ABRT $$", "child_crashed", "SIGABRT"),
    ] {
        let (found, message) = error(played(Stage::default(), shell(script)).await);
        assert_eq!(found, code, "{script}: {message}");
        assert!(message.contains(how), "{script}: {message}");
    }
}

#[tokio::test]
async fn a_run_that_asks_for_more_memory_than_it_may_have_says_so() {
    const SITUATION: usize = 40_000_000;
    let mut scenario = crate::support::play::scenario();
    scenario.situation = "x".repeat(SITUATION);
    let launcher = Launcher {
        program: env!("CARGO_BIN_EXE_scenario-worker").into(),
        arguments: ["execute-run", "--memory-bytes=67108864"].map(Into::into).into(),
    };
    let (code, message) =
        error(played(Stage { scenario: Some(scenario), ..Stage::default() }, launcher).await);
    assert_eq!(code, "child_out_of_memory", "{message}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_outcome() {
    let launcher = Launcher { program: "/nowhere/scenario-worker".into(), arguments: Vec::new() };
    assert_eq!(error(played(Stage::default(), launcher).await).0, "runner_unavailable");
}

// The clock of these tests goes on by itself while everybody waits: the process never does anything.
#[tokio::test(start_paused = true)]
async fn a_process_that_says_nothing_any_more_is_killed() {
    let (code, message) = error(played(Stage::default(), shell(STUBBORN)).await);
    assert_eq!(code, "execution_stalled", "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_outlasts_the_time_of_its_run_is_killed() {
    let message = json!({ "turn": 1, "role": "assistant", "content": "hello", "at": "2026-01-01T00:00:00Z" });
    let (_file, spoke) = says(&[advanced(0, &json!({ "messages": [message], "turn": 1 }))], STUBBORN);
    for launcher in [shell(STUBBORN), spoke] {
        let began = tokio::time::Instant::now();
        let end = played_as(Stage::default(), &request(&json!({ "timeoutSeconds": 1 })), launcher).await;
        assert_eq!(error(end), ("execution_timeout".to_owned(), "Scenario execution timed out".to_owned()));
        // Nothing of what might have come is waited for: no judgement, no session, no spans.
        assert!(began.elapsed() < HUNG, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_told_to_stop_and_does_not_is_killed_and_the_reason_counts() {
    for (reason, resumed) in
        [(StopReason::Cancelled, true), (StopReason::HandBack, true), (StopReason::LeaseLost, true)]
    {
        let stage = Stage { resumed: resumed.then(Default::default), ..Stage::default() };
        let stop = stage.stop.clone();
        let (end, ()) = tokio::join!(played(stage, shell(STUBBORN)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.stop(reason);
        });
        match (reason, end) {
            (StopReason::Cancelled, end) => assert_eq!(outcome(end).status, RunStatus::Cancelled),
            (StopReason::HandBack, RunEnd::Interrupted { why: Interruption::HandBack, .. })
            | (StopReason::LeaseLost, RunEnd::Interrupted { why: Interruption::LeaseLost, .. }) => {}
            (reason, end) => panic!("{reason:?} came to {end:?}"),
        }
    }
}

/// A run whose target has a session.
fn in_session() -> Stage {
    let session = Some(Session::new(json!("s1")));
    let resumed = Some(Conversation { session, ..Conversation::default() });
    Stage { session: Sessions::Kept, resumed, ..Stage::default() }
}

fn sessions(record: &Record) -> Vec<String> {
    record.sessions.lock().unwrap().clone()
}

#[tokio::test]
async fn a_session_that_a_process_stored_is_ended_when_the_process_crashes() {
    for (said, script) in
        [(json!({ "session": "s2" }), "exit 3"), (json!({ "session": "s2" }), "echo nonsense")]
    {
        let stage = Stage { session: Sessions::Kept, ..Stage::default() };
        let record = Arc::clone(&stage.record);
        let (_file, launcher) = says(&[advanced(0, &said)], script);
        assert!(error(played(stage, launcher).await).0.starts_with("child_"));
        assert_eq!(sessions(&record), ["end s2"]);
        assert_eq!(record.conversation.lock().unwrap().as_ref().unwrap().session, None);
    }
}

#[tokio::test]
async fn a_session_that_a_process_ended_is_not_ended_again() {
    let stage = in_session();
    let record = Arc::clone(&stage.record);
    let (_file, launcher) = says(&[advanced(0, &json!({}))], "exit 3");
    assert_eq!(error(played(stage, launcher).await).0, "child_crashed");
    assert!(sessions(&record).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_ended_when_its_process_hangs() {
    for (more, code) in
        [(json!({}), "execution_stalled"), (json!({ "timeoutSeconds": 1 }), "execution_timeout")]
    {
        let stage = in_session();
        let record = Arc::clone(&stage.record);
        let end = played_as(stage, &request(&more), shell(STUBBORN)).await;
        assert_eq!((error(end).0.as_str(), sessions(&record)), (code, vec!["end s1".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_ended_when_its_process_does_not_hear_of_a_cancel_and_goes_on_otherwise() {
    for (reason, ends) in [(StopReason::Cancelled, 1), (StopReason::HandBack, 0), (StopReason::LeaseLost, 0)]
    {
        let stage = in_session();
        let (stop, record) = (stage.stop.clone(), Arc::clone(&stage.record));
        let (end, ()) = tokio::join!(played(stage, shell(STUBBORN)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.stop(reason);
        });
        assert_eq!(sessions(&record).len(), ends, "{reason:?} came to {end:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_its_process_is_there_needs_none() {
    let stage = Stage::default();
    stage.stop.stop(StopReason::Cancelled);
    let completed = outcome(played(stage, shell("exit 3")).await);
    assert_eq!(
        (completed.status, &*completed.reasoning),
        (RunStatus::Cancelled, "Cancelled before execution started")
    );
}

#[tokio::test]
async fn what_a_process_stored_before_it_crashed_stays_said() {
    let message =
        json!({ "turn": 1, "role": "user", "content": "my mug broke", "at": "2026-01-01T00:00:00Z" });
    let (_file, launcher) = says(&[advanced(0, &json!({ "messages": [message], "turn": 1 }))], "exit 3");
    let completed = outcome(played(Stage::default(), launcher).await);
    assert_eq!(completed.error.unwrap().code, "child_crashed");
    assert_eq!(completed.messages.unwrap()[0].content, "my mug broke");
    assert_eq!(completed.telemetry.error.as_deref(), None, "it never had a trace of its own");
}

#[tokio::test]
async fn an_ending_that_was_stored_counts_whatever_becomes_of_the_process() {
    let receipt = json!({ "traceId": null, "spans": 2, "exported": 2, "error": null });
    let ending = json!({
        "ending": { "judged": { "verdict": "success", "reasoning": "it did", "criteria": [] } },
        "report": { "telemetry": receipt, "finished_at": "2026-01-01T00:00:00Z" },
    });
    let (_file, launcher) = says(&[advanced(0, &ending)], "kill -9 $$");
    let completed = outcome(played(Stage::default(), launcher).await);
    assert_eq!((completed.status, completed.telemetry.exported), (RunStatus::Success, 2));
}
