//! Claims and their fences.

use std::time::Duration;

use futures::StreamExt as _;
use scenario_worker::events::{MessageRole, ProjectId, RunId, RunKey, RunStatus};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::ports::JournalError;
use scenario_worker::execution::types::{Conversation, Message};
use scenario_worker::queue::{Claim, ClaimedRun, RunPhase, RunState, RunStates, topology as wanted};
use time::OffsetDateTime;

use super::{Broker, until, within};
use crate::support::nats::NatsServer;

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
    let line = |turn| Message { turn, ..large(&broker).messages.remove(0) };
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

/// A conversation that fits into no value.
fn large(broker: &Broker) -> Conversation {
    let line = Message {
        turn: 1,
        role: MessageRole::Assistant,
        content: "x".repeat(broker.connection.max_payload()),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    Conversation { messages: vec![line], ..conversation(1) }
}

/// Claims for a delivery with this number.
async fn claim_for(states: &RunStates, delivery: u64) -> Result<Claim, Unavailable> {
    states.claim(&key(), 7, delivery, MAX_ATTEMPTS, OffsetDateTime::now_utc()).await
}

/// The first delivery for which nothing waits any more.
const LAST: u64 = MAX_ATTEMPTS as u64 + 1;

/// What cannot be read waits for a while, and is there to be ended then; it returns what is said of it.
async fn is_there_to_be_ended(states: &RunStates) -> String {
    for delivery in 1..LAST {
        assert!(claim_for(states, delivery).await.is_err(), "a newer worker may read it");
    }
    let (run, reason) = match claim_for(states, LAST).await.unwrap() {
        Claim::Unreadable { run, reason } => (run, reason),
        other => panic!("it is read: {other:?}"),
    };
    assert_eq!(run.resumed(), None);
    run.finish(RunStatus::Error, DAY).await.unwrap();
    assert!(matches!(claim(states, 7).await, Claim::Finished));
    reason
}

#[tokio::test]
async fn a_state_that_cannot_be_read_waits_for_a_newer_worker_and_is_ended_then() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    broker.topology.runs.put("run.acme.r1", r#"{"phase":"future"}"#.into()).await.unwrap();
    assert_eq!(state(&states).await.phase, RunPhase::Running);
    let reason = is_there_to_be_ended(&states).await;
    assert!(reason.contains("future"), "{reason}");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_still_its_owners() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let future = r#"{"phase":"future","requestSequence":9}"#;
    broker.topology.runs.put("run.acme.r1", future.into()).await.unwrap();
    assert!(matches!(claim(&states, 7).await, Claim::OwnedByOther { request_sequence: 9 }));
}

#[tokio::test]
async fn a_large_conversation_that_is_gone_or_broken_is_no_reason_to_start_over() {
    for is_gone in [true, false] {
        let broker = Broker::new().await;
        let states = RunStates::new(&broker.connection, &broker.topology);
        granted(&states).await.checkpoint(&large(&broker)).await.unwrap();
        let objects = &broker.topology.transcripts;
        let name = state(&states).await.transcript.unwrap();
        objects.delete(&name).await.unwrap();
        if !is_gone {
            objects.put(name.as_str(), &mut &b"{"[..]).await.unwrap();
        }
        let reason = is_there_to_be_ended(&states).await;
        assert!(reason.contains(&name), "{reason}");
    }
}

#[tokio::test]
async fn a_run_that_has_its_outcome_is_finished_whoever_had_it() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    states.settle(&key(), Some(RunStatus::Success), DAY).await.unwrap();
    assert!(states.status(&key()).await.unwrap().is_none(), "without a state there is nothing to do");
    granted(&states).await.checkpoint(&large(&broker)).await.unwrap();
    states.settle(&key(), Some(RunStatus::Success), DAY).await.unwrap();
    states.settle(&key(), Some(RunStatus::Error), DAY).await.unwrap();
    let stored = state(&states).await;
    assert_eq!((stored.phase, stored.status), (RunPhase::Finished, Some(RunStatus::Success)));
    assert_eq!(broker.topology.transcripts.list().await.unwrap().count().await, 0);
}

#[tokio::test]
async fn a_consumer_that_was_created_anew_counts_its_deliveries_anew() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let Claim::Granted(before) = claim_for(&states, 4).await.unwrap() else { panic!("nobody has the run") };
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert!(matches!(claim_for(&states, 1).await.unwrap(), Claim::Outdated { delivery: 4 }));
    stream.delete_consumer("scenario-workers").await.unwrap();
    wanted::ensure(&broker.connection, &broker.settings).await.unwrap();
    assert!(matches!(claim_for(&states, 1).await.unwrap(), Claim::Granted(_)));
    assert!(matches!(before.checkpoint(&conversation(1)).await, Err(JournalError::LeaseLost(_))));
}

#[tokio::test]
async fn a_worker_notices_between_two_checkpoints_that_another_has_its_run() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let stale = granted(&states).await;
    granted(&states).await;
    within(stale.taken_over(Duration::from_millis(10))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_nobody_waited_for_is_handed_back_all_the_same() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let run = granted(&states).await;
    run.checkpoint(&conversation(1)).await.unwrap();
    server.down();
    until(async || !broker.connection.is_connected()).await;
    let (last, soon) = (conversation(2), Duration::from_millis(100));
    assert!(tokio::time::timeout(soon, run.checkpoint(&last)).await.is_err(), "nobody takes it");
    server.up();
    run.hand_back(None).await.unwrap();
    assert_eq!(granted(&states).await.resumed(), Some(&conversation(2)));
}
