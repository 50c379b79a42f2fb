//! A broker that is away for longer than anybody is patient with one write, but not for longer than a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::doubles::Director;
use super::history::{DRAIN, FaultKind, Limits, now};
use super::scene::Scene;
use super::script::{MAX_PAYLOAD, Part, Step};
use crate::support::nats::NatsServer;
use crate::support::worker::{PATIENCE, within};

const LIMITS: Limits =
    Limits { ack_wait: Duration::from_mins(2), concurrency: 1, max_ack_pending: 1, drain: DRAIN };
/// How long the broker is away: more than the 30 s after which a write is given up where no lease says otherwise.
const AWAY: Duration = Duration::from_secs(42);
/// The call that is answered while the broker is away.
const DURING: Step = Step { turn: 1, part: Part::Agent };
/// Runs of two turns: one that may ask its agent again, one that must not, one whose transcript is large.
const RUNS: [usize; 3] = [1, 37, 45];

/// Answers the call when the broker is away, and at once should it be made again.
#[derive(Default)]
struct Away {
    again: AtomicBool,
    asked: Notify,
    gone: Arc<Notify>,
}

impl Director for Arc<Away> {
    fn before(&self, _run: &str, step: Step) -> BoxFuture<'static, ()> {
        if step != DURING || self.again.swap(true, Ordering::SeqCst) {
            return std::future::ready(()).boxed();
        }
        self.asked.notify_one();
        let gone = Arc::clone(&self.gone);
        async move { gone.notified().await }.boxed()
    }

    fn after(&self, _run: &str, _step: Step) {}

    fn exporting(&self, _run: &str) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `make faults` runs it"]
async fn an_answer_that_came_while_the_broker_was_away_for_long_is_not_asked_for_again() {
    for (number, broken) in futures::future::join_all(RUNS.map(outlive)).await {
        assert_eq!(broken, [], "run {number}");
    }
}

async fn outlive(number: usize) -> (usize, Vec<super::checker::Violation>) {
    let mut server = NatsServer::start_with(&format!("max_payload: {MAX_PAYLOAD}\n"));
    let away = Arc::new(Away::default());
    let scene = Scene::start(1, number, &server.account(0), Arc::new(Arc::clone(&away)), LIMITS).await;
    scene.request().await;
    tokio::time::timeout(PATIENCE, away.asked.notified()).await.expect("the agent is asked");
    let from = now();
    server.down();
    within(async || scene.client.connection_state() != State::Connected).await;
    away.gone.notify_one();
    tokio::time::sleep(AWAY).await;
    server.up();
    scene.recorder.fault(FaultKind::BrokerOutage, None, from);
    let (_, violations) = scene.end(&format!("a long outage during run {number}")).await;
    (number, violations)
}
