//! Runs whose calls wait for their turn.

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::events::RunStatus;
use scenario_worker::execution::limits::{Gate, Limiter, ScopeKind};
use scenario_worker::execution::orchestrator::{Interruption, RunEnd};
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::Step;
use serde_json::json;

use super::{cancelled_when, outcome};
use crate::support::limits::{Doorkeeper, scope};
use crate::support::play::{Agent, STALL, Stage, request};

/// A stage whose agent is behind a gate where everybody waits for so long.
fn behind(doorkeeper: &Doorkeeper) -> Stage {
    let limiter: Arc<dyn Limiter> = Arc::new(doorkeeper.clone());
    let gate = Gate::new(&limiter, [scope(ScopeKind::Target)]);
    Stage { agent: Agent::Gated(gate, "I am sorry"), ..Stage::default() }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_turn_does_not_stall() {
    let doorkeeper = Doorkeeper::slow(STALL * 5);
    let patient = request(&json!({ "timeoutSeconds": 86_400 }));
    let outcome = outcome(behind(&doorkeeper).play(&patient).await);
    assert_eq!((outcome.status, outcome.error), (RunStatus::Success, None));
    assert_eq!((doorkeeper.seen().admitted.len(), doorkeeper.seen().inside), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_counts_for_the_time_of_the_run() {
    let doorkeeper = Doorkeeper::slow(Duration::from_mins(1));
    let hasty = request(&json!({ "timeoutSeconds": 5 }));
    let outcome = outcome(behind(&doorkeeper).play(&hasty).await);
    assert_eq!(outcome.error.unwrap().code, "execution_timeout");
    assert!(doorkeeper.seen().admitted.is_empty(), "the agent was never asked");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_run_that_waits_for_its_turn() {
    let doorkeeper = Doorkeeper::slow(Duration::from_hours(1));
    let stage = behind(&doorkeeper);
    let outcome = cancelled_when(stage, |c| c.is_some_and(|c| c.next == Step::Target)).await;
    assert_eq!(outcome.status, RunStatus::Cancelled);
    assert!(doorkeeper.seen().admitted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_hands_back_a_run_that_waits_for_its_turn() {
    let stage = behind(&Doorkeeper::slow(Duration::from_hours(1)));
    let (stop, record, asked) = (stage.stop.clone(), stage.record.clone(), request(&json!({})));
    let hand_back = async {
        while record.asked.lock().unwrap().last().is_none_or(|last| last != "A1") {
            tokio::task::yield_now().await;
        }
        stop.stop(StopReason::HandBack);
    };
    let (end, ()) = tokio::join!(stage.play(&asked), hand_back);
    assert!(matches!(end, RunEnd::Interrupted { why: Interruption::HandBack, .. }));
}

/// The clock of the run is the machine's, so this wait is real.
#[tokio::test]
async fn the_agent_s_time_is_without_the_wait() {
    let wait = Duration::from_millis(300);
    let stage = behind(&Doorkeeper::slow(wait));
    let record = stage.record.clone();
    outcome(stage.play(&request(&json!({}))).await);
    let conversation = record.conversation.lock().unwrap().clone().unwrap();
    let latency = conversation.messages[1].latency_ms.unwrap();
    assert!(u128::from(latency) < wait.as_millis(), "{latency} ms");
}
