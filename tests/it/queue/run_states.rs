//! Claims and their fences.

use std::time::Duration;

use futures::StreamExt as _;
use scenario_worker::events::{MessageRole, ProjectId, RunId, RunKey, RunStatus};
use scenario_worker::execution::ports::JournalError;
use scenario_worker::execution::types::{Conversation, Message};
use scenario_worker::queue::{Claim, ClaimedRun, RunPhase, RunState, RunStates};
use time::OffsetDateTime;

use super::{Broker, until};

const MAX_ATTEMPTS: u32 = 2;
const DAY: Duration = Duration::from_hours(24);

fn key() -> RunKey {
    RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r1").unwrap() }
}

async fn claim(states: &RunStates, request_sequence: u64) -> Claim {
    states.claim(&key(), request_sequence, 1, MAX_ATTEMPTS, OffsetDateTime::now_utc()).await.unwrap()
}

async fn granted(states: &RunStates) -> ClaimedRun {
    match claim(states, 7).await {
        Claim::Granted(run) => run,
        other => panic!("the run was not granted: {other:?}"),
    }
}

async fn state(states: &RunStates) -> RunState {
    states.status(&key()).await.unwrap().unwrap()
}

fn conversation(turn: u32) -> Conversation {
    Conversation { turn, ..Conversation::default() }
}

#[tokio::test]
async fn a_run_goes_on_where_the_last_checkpoint_was() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    assert!(states.status(&key()).await.unwrap().is_none());
    let first = granted(&states).await;
    assert_eq!((first.attempt(), first.resumed()), (1, None));
    first.checkpoint(&conversation(1)).await.unwrap();
    first.checkpoint(&conversation(2)).await.unwrap();
    first.hand_back(None).await.unwrap();
    let second = granted(&states).await;
    assert_eq!((second.attempt(), second.resumed()), (2, Some(&conversation(2))));
    assert_eq!(state(&states).await.lost, 0);
}

#[tokio::test]
async fn a_worker_whose_run_was_claimed_by_another_cannot_write_any_more() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let stale = granted(&states).await;
    let owner = granted(&states).await;
    owner.checkpoint(&conversation(3)).await.unwrap();
    assert!(matches!(stale.checkpoint(&conversation(9)).await, Err(JournalError::LeaseLost(_))));
    assert!(matches!(stale.finish(RunStatus::Error, DAY).await, Err(JournalError::LeaseLost(_))));
    assert!(matches!(stale.hand_back(None).await, Err(JournalError::LeaseLost(_))));
    owner.finish(RunStatus::Success, DAY).await.unwrap();
    let stored = state(&states).await;
    assert_eq!((stored.phase, stored.status, stored.turn), (RunPhase::Finished, Some(RunStatus::Success), 3));
}

#[tokio::test]
async fn a_finished_run_is_final_for_every_request() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    granted(&states).await.finish(RunStatus::Cancelled, DAY).await.unwrap();
    assert!(matches!(claim(&states, 7).await, Claim::Finished));
    assert!(matches!(claim(&states, 8).await, Claim::Finished));
}

#[tokio::test]
async fn a_delivery_that_was_overtaken_while_its_worker_slept_does_not_get_the_run() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let now = OffsetDateTime::now_utc();
    let Claim::Granted(owner) = states.claim(&key(), 7, 2, MAX_ATTEMPTS, now).await.unwrap() else {
        panic!("the second delivery is the first that anybody sees");
    };
    let stale = states.claim(&key(), 7, 1, MAX_ATTEMPTS, now).await.unwrap();
    assert!(matches!(stale, Claim::Outdated { delivery: 2 }), "{stale:?}");
    owner.checkpoint(&conversation(1)).await.unwrap();
}

#[tokio::test]
async fn a_run_under_way_belongs_to_its_first_request() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    granted(&states).await;
    assert!(matches!(claim(&states, 8).await, Claim::OwnedByOther { request_sequence: 7 }));
}

#[tokio::test]
async fn a_run_that_was_lost_too_often_is_there_to_be_ended() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    for attempt in 1..=MAX_ATTEMPTS + 1 {
        assert_eq!(granted(&states).await.attempt(), attempt);
    }
    match claim(&states, 7).await {
        Claim::AttemptsExhausted(run) => {
            assert_eq!(run.attempt(), MAX_ATTEMPTS + 1);
            run.finish(RunStatus::Error, DAY).await.unwrap();
        }
        other => panic!("not exhausted: {other:?}"),
    }
    assert!(matches!(claim(&states, 7).await, Claim::Finished));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_claims_at_the_same_time_exactly_one_worker_can_go_on() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let now = OffsetDateTime::now_utc();
    let claims = futures::future::join_all((0..8).map(|_| {
        let states = states.clone();
        async move { states.claim(&key(), 7, 1, 100, now).await.unwrap() }
    }))
    .await;
    let mut alive = 0;
    for claim in claims {
        let Claim::Granted(run) = claim else { panic!("not granted: {claim:?}") };
        alive += usize::from(run.checkpoint(&conversation(1)).await.is_ok());
    }
    assert_eq!(alive, 1);
}

#[tokio::test]
async fn a_late_write_of_the_same_claim_is_no_other_worker() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let run = granted(&states).await;
    // A write that was given up as unconfirmed and is applied after all looks like this.
    let late = serde_json::to_vec(&RunState { turn: 5, ..state(&states).await }).unwrap();
    broker.topology.runs.put("run.acme.r1", late.into()).await.unwrap();
    run.checkpoint(&conversation(6)).await.unwrap();
    assert_eq!(state(&states).await.turn, 6);
}

#[tokio::test]
async fn a_finished_state_expires_and_the_run_id_is_free_again() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    granted(&states).await.finish(RunStatus::Success, Duration::from_secs(1)).await.unwrap();
    until(async || states.status(&key()).await.unwrap().is_none()).await;
    assert_eq!(granted(&states).await.attempt(), 1);
}

#[tokio::test]
async fn a_conversation_too_large_for_one_value_is_resumed_all_the_same_and_leaves_nothing() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let line = |turn| Message {
        turn,
        role: MessageRole::Assistant,
        content: "x".repeat(broker.connection.max_payload()),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    let objects = async || broker.topology.transcripts.list().await.unwrap().count().await;
    let first = granted(&states).await;
    first.checkpoint(&Conversation { messages: vec![line(1)], ..conversation(1) }).await.unwrap();
    let said = Conversation { messages: vec![line(1), line(2)], ..conversation(2) };
    first.checkpoint(&said).await.unwrap();
    assert_eq!(objects().await, 1, "only the last checkpoint is kept");
    first.hand_back(None).await.unwrap();
    let second = granted(&states).await;
    assert_eq!(second.resumed(), Some(&said));
    second.finish(RunStatus::Success, DAY).await.unwrap();
    assert_eq!(objects().await, 0);
}
