//! Cancel requests, marks and tokens.

use scenario_worker::events::{BatchRunId, CancelRequest, CancelScope, ProjectId, RunId, RunKey};
use scenario_worker::queue::cancellation::request_cancel;
use scenario_worker::queue::{CancelHandle, Cancellations, ConsumerError};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Broker, until, within};

fn key(run: &str) -> RunKey {
    RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(run).unwrap() }
}

fn batch() -> BatchRunId {
    BatchRunId::parse("nightly 1").unwrap()
}

fn request(scope: CancelScope) -> CancelRequest {
    CancelRequest { project_id: ProjectId::parse("acme").unwrap(), scope }
}

fn of_run(run: &str) -> CancelRequest {
    request(CancelScope::Run { scenario_run_id: RunId::parse(run).unwrap() })
}

struct Running {
    cancellations: Cancellations,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ConsumerError>>,
}

impl Running {
    fn start(broker: &Broker) -> Self {
        let cancellations =
            Cancellations::new(&broker.connection, &broker.topology, &broker.settings.consumer);
        let (stop, theirs) = (CancellationToken::new(), cancellations.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { theirs.run(stopped).await });
        Self { cancellations, stop, task }
    }

    async fn token(&self, run: &str) -> CancelHandle {
        self.cancellations.token(&key(run), &batch()).await.unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        within(self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_cancel_reaches_a_run_that_is_under_way_on_any_worker_and_no_other_run() {
    let broker = Broker::new().await;
    let (one, two) = (Running::start(&broker), Running::start(&broker));
    let handles = [one.token("r1").await, two.token("r1").await];
    let bystander = one.token("r2").await;
    request_cancel(&broker.connection, &of_run("r1")).await.unwrap();
    for handle in &handles {
        within(handle.token().cancelled()).await;
    }
    assert!(!bystander.token().is_cancelled());
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_cancel_from_before_the_run_is_found_when_it_starts() {
    let broker = Broker::new().await;
    request_cancel(&broker.connection, &of_run("r1")).await.unwrap();
    let running = Running::start(&broker);
    until(async || broker.topology.runs.get("cancel.acme.r1").await.unwrap().is_some()).await;
    // Another process that has no watch at all.
    let other = Cancellations::new(&broker.connection, &broker.topology, &broker.settings.consumer);
    let handle = other.token(&key("r1"), &batch()).await.unwrap();
    assert!(handle.token().is_cancelled());
    let entry =
        broker.topology.runs.stream.get_last_raw_message_by_subject("$KV.SCENARIO_RUNS.cancel.acme.r1");
    assert_eq!(entry.await.unwrap().headers.get("Nats-TTL").unwrap().as_str(), "86400");
    running.stop().await;
}

#[tokio::test]
async fn a_batch_is_cancelled_with_all_of_its_runs() {
    let broker = Broker::new().await;
    let running = Running::start(&broker);
    let handles = [running.token("r1").await, running.token("r2").await];
    let scope = CancelScope::Batch { batch_run_id: batch() };
    request_cancel(&broker.connection, &request(scope)).await.unwrap();
    for handle in &handles {
        within(handle.token().cancelled()).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_bad_cancel_request_is_a_dead_letter_and_the_next_one_is_taken() {
    let broker = Broker::new().await;
    let running = Running::start(&broker);
    let handle = running.token("r1").await;
    let bad = broker.connection.jetstream.publish(
        "scenario.run.cancel_requested.other",
        r#"{"projectId":"acme","scenarioRunId":"r1"}"#.into(),
    );
    bad.await.unwrap().await.unwrap();
    let letters = broker.connection.jetstream.get_stream("SCENARIO_DEAD_LETTERS").await.unwrap();
    until(async || letters.get_last_raw_message_by_subject("scenario.run.dead_lettered").await.is_ok()).await;
    let stored = letters.get_last_raw_message_by_subject("scenario.run.dead_lettered").await.unwrap();
    let letter: Value = serde_json::from_slice(&stored.payload).unwrap();
    assert_eq!(letter["code"], "project_mismatch");
    assert!(!handle.token().is_cancelled());
    request_cancel(&broker.connection, &of_run("r1")).await.unwrap();
    within(handle.token().cancelled()).await;
    let commands = broker.connection.jetstream.get_stream("SCENARIO_COMMANDS").await.unwrap();
    until(async || commands.get_info().await.unwrap().state.messages == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_consumer_of_cancel_requests_ends_with_an_error() {
    let broker = Broker::new().await;
    let running = Running::start(&broker);
    until(async || broker.topology.commands.get_info().await.unwrap().num_waiting == 1).await;
    let stream = broker.connection.jetstream.get_stream("SCENARIO_COMMANDS").await.unwrap();
    stream.delete_consumer("scenario-commands").await.unwrap();
    let error = within(running.task).await.unwrap().unwrap_err();
    assert!(matches!(error, ConsumerError::Gone { .. }), "{error}");
}
