//! Workers that sleep at the worst moments, one by one: what they do when they wake up must hurt nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::checker;
use super::doubles::Director;
use super::history::{DRAIN, FaultKind, Limits, now};
use super::scene::Scene;
use super::script::{Part, Step};
use crate::support::nats;
use crate::support::worker::PATIENCE;

const LIMITS: Limits =
    Limits { ack_wait: Duration::from_secs(3), concurrency: 1, max_ack_pending: 2, drain: DRAIN };
/// A run of one turn in which the agent refuses to answer, and one of two turns that goes well.
const REFUSED: usize = 28;
const WELL: usize = 1;
/// The part of `ack_wait` for which an idle worker sleeps: five in six.
const NAP: Duration = Duration::from_millis(2_500);
/// Longer than a lease, so that its holder has time to find out that it lost it.
const LONG_CALL: Duration = Duration::from_secs(5);
/// How much longer than `ack_wait` a holder sleeps, so that another worker has its run.
const SUCCESSION: Duration = Duration::from_secs(2);
/// How long the successor's spans are under way after the sleeper woke up.
const MEANWHILE: Duration = Duration::from_secs(3);
/// Time for an idle worker to have asked for work.
const IDLE: Duration = Duration::from_secs(2);

/// Takes long for the first call.
struct LongOpening;

impl Director for LongOpening {
    fn before(&self, _run: &str, step: Step) -> BoxFuture<'static, ()> {
        let opening = step == Step { turn: 1, part: Part::Customer };
        tokio::time::sleep(if opening { LONG_CALL } else { Duration::ZERO }).boxed()
    }

    fn after(&self, _run: &str, _step: Step) {}

    fn exporting(&self, _run: &str) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Work comes while everybody sleeps, for less than a lease. Whoever wakes up with it must not be at it beside another.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_came_while_an_idle_worker_slept_is_done_by_one_worker() {
    let scene = Scene::start(2, WELL, &nats::account(), Arc::new(LongOpening), LIMITS).await;
    tokio::time::sleep(IDLE).await;
    let from = now();
    scene.fleet.workers.iter().for_each(|worker| worker.signal("-STOP"));
    scene.request().await;
    tokio::time::sleep(NAP).await;
    scene.fleet.workers.iter().for_each(|worker| worker.signal("-CONT"));
    scene.recorder.fault(FaultKind::Nap, None, from);
    let (_, violations) = scene.end("a nap of idle workers").await;
    assert_eq!(violations, []);
}

/// Takes no spans at first, then takes them when the sleeper is awake and had time to do harm.
#[derive(Default)]
struct Exports {
    first: AtomicBool,
    reached: Notify,
    woken: Arc<Notify>,
}

impl Director for Arc<Exports> {
    fn before(&self, _run: &str, _step: Step) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    fn after(&self, _run: &str, _step: Step) {}

    fn exporting(&self, _run: &str) -> BoxFuture<'static, ()> {
        if !self.first.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            return std::future::pending().boxed();
        }
        let woken = Arc::clone(&self.woken);
        async move {
            woken.notified().await;
            tokio::time::sleep(MEANWHILE).await;
        }
        .boxed()
    }
}

/// The run's call is answered and its ending known; its worker falls asleep over the spans, and another takes the run over. The
/// call is not made again, and the sleeper does not end a run which is not its own any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_over_its_spans_repeats_no_call_and_ends_no_run_of_another() {
    let exports = Arc::new(Exports::default());
    let scene = Scene::start(2, REFUSED, &nats::account(), Arc::new(Arc::clone(&exports)), LIMITS).await;
    scene.request().await;
    tokio::time::timeout(PATIENCE, exports.reached.notified()).await.expect("spans are delivered");
    tokio::time::sleep(checker::STORED * 2).await;
    let sleeper = scene.recorder.history().calls.last().unwrap().worker;
    let from = now();
    scene.fleet.workers[sleeper].signal("-STOP");
    tokio::time::sleep(LIMITS.ack_wait + SUCCESSION).await;
    scene.fleet.workers[sleeper].signal("-CONT");
    scene.recorder.fault(FaultKind::Freeze, Some(sleeper), from);
    exports.woken.notify_one();
    let (history, violations) = scene.end("asleep over spans").await;
    assert_eq!(violations, []);
    assert_eq!(history.calls.len(), 2, "customer and agent, once each");
}
