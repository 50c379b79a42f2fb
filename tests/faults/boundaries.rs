//! One scenario, its worker killed at every step boundary, one by one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tokio::sync::Notify;

use super::checker;
use super::doubles::{Director, Doubles};
use super::fleet::{self, Fleet};
use super::harness;
use super::history::{FaultKind, History, Kind, Limits, Recorder, now};
use super::load;
use super::script::{self, Part, Step};
use super::summary::{say, waits};
use super::timeline;
use crate::support::nats;
use crate::support::worker::PATIENCE;

/// Boundaries that are tried at a time: each has a worker of its own.
const AT_ONCE: usize = 5;
/// The scenario's run: two turns.
const NUMBER: usize = 1;
const LIMITS: Limits = Limits { ack_wait: Duration::from_secs(2), concurrency: 1, max_ack_pending: 1 };

/// A moment at which the worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    /// Never.
    None,
    /// While the step's call waits for its answer.
    Asked(Step),
    /// When the step's answer was handed over.
    Answered(Step),
    /// When the run's event with this number was stored.
    Reported(usize),
    /// While the spans are delivered that were made up to the verdict.
    Exporting,
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "never"),
            Self::Asked(step) => write!(f, "before the answer of {step}"),
            Self::Answered(step) => write!(f, "after the answer of {step}"),
            Self::Reported(number) => write!(f, "after event {number}"),
            Self::Exporting => write!(f, "while spans are delivered"),
        }
    }
}

/// Holds the call at the boundary and says when the boundary is reached, once.
struct Watchman {
    boundary: Boundary,
    armed: AtomicBool,
    judged: AtomicBool,
    reached: Notify,
}

impl Watchman {
    fn reach(&self) -> bool {
        let first = self.armed.swap(false, Ordering::SeqCst);
        if first {
            self.reached.notify_one();
        }
        first
    }
}

/// The doubles' director.
struct Direction(Arc<Watchman>);

impl Director for Direction {
    fn before(&self, _run: &str, step: Step) -> BoxFuture<'static, ()> {
        if self.0.boundary == Boundary::Asked(step) && self.0.reach() {
            return std::future::pending().boxed();
        }
        std::future::ready(()).boxed()
    }

    fn after(&self, _run: &str, step: Step) {
        self.0.judged.fetch_or(step.part == Part::Verdict, Ordering::SeqCst);
        if self.0.boundary == Boundary::Answered(step) {
            self.0.reach();
        }
    }

    fn exporting(&self) -> BoxFuture<'static, ()> {
        let judged = self.0.judged.load(Ordering::SeqCst);
        if judged && self.0.boundary == Boundary::Exporting && self.0.reach() {
            return std::future::pending().boxed();
        }
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_step_boundary_of_one_scenario_loses_and_repeats_nothing() {
    let run = load::run_id(NUMBER);
    let undisturbed = essence(&play(Boundary::None).await);
    let steps = script::steps_of(&run);
    // One event for the beginning, one for each message, one for the outcome.
    let events = script::transcript_of(&run).len() + 2;
    let boundaries = steps.iter().flat_map(|step| [Boundary::Asked(*step), Boundary::Answered(*step)]);
    let boundaries = boundaries.chain((0..events).map(Boundary::Reported)).chain([Boundary::Exporting]);
    let boundaries: Vec<_> = boundaries.collect();
    let played: Vec<_> = futures::stream::iter(boundaries)
        .map(|boundary| async move { (boundary, play(boundary).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (boundary, history) in &played {
        assert_eq!(essence(history), undisturbed, "killed {boundary}");
        if *boundary == Boundary::Exporting {
            assert_eq!(history.calls.len(), steps.len(), "killed {boundary}");
        }
        if let Boundary::Asked(step) = boundary {
            let calls = history.calls.iter().filter(|call| call.step == *step).count();
            assert_eq!((calls, history.calls.len()), (2, steps.len() + 1), "killed {boundary}");
        }
    }
    let calls: usize = played.iter().map(|(_, history)| history.calls.len() - steps.len()).sum();
    let histories: Vec<_> = played.iter().map(|(_, history)| history).collect();
    let (kills, waits, ack_wait) = (played.len(), waits(&histories), LIMITS.ack_wait);
    say(&format!("boundaries: {kills} kills, {calls} calls in flight made again"));
    say(&format!("boundaries: from a kill to the next call {waits}, ack_wait {ack_wait:?}"));
}

/// What does not depend on when and where the run was played.
fn essence(history: &History) -> Value {
    let outcomes: Vec<_> = history.events.iter().filter(|event| event.kind == Kind::Completed).collect();
    assert_eq!(outcomes.len(), 1);
    let outcome = &outcomes[0].payload;
    let fields = ["status", "verdict", "reasoning", "criteria", "turns", "messages", "error", "usage"];
    fields.iter().map(|field| ((*field).to_owned(), outcome[*field].clone())).collect()
}

/// Plays the scenario on one worker that is killed at the boundary and started again.
async fn play(boundary: Boundary) -> History {
    let (recorder, run) = (Recorder::default(), load::run_id(NUMBER));
    let armed = AtomicBool::new(boundary != Boundary::None);
    let watchman =
        Arc::new(Watchman { boundary, armed, judged: AtomicBool::new(false), reached: Notify::new() });
    let account = nats::account();
    let doubles = Doubles::start(&recorder, Arc::new(Direction(Arc::clone(&watchman)))).await;
    let mut fleet = Fleet::start(1, &account, &doubles, &[run], LIMITS, &recorder).await;
    let client = account.client().await;
    harness::ready(&client).await;
    let reports = client.subscribe("scenario.run.*").await.unwrap();
    client.flush().await.unwrap();
    load::request_once(client.clone(), &recorder, NUMBER).await;
    let killed = kill_at(&watchman, reports, &fleet, &recorder);
    tokio::time::timeout(PATIENCE, killed).await.unwrap_or_else(|_| panic!("killed {boundary}: never"));
    assert!(
        harness::quiet(&client).await,
        "killed {boundary}: the run does not end\n{}",
        fleet::troubles(&fleet)
    );
    fleet.stop().await;
    recorder.history().events = harness::read_events(&client).await;
    fleet.clean().await;
    let (history, troubles) = (recorder.snapshot(), fleet::troubles(&fleet));
    let violations = checker::check(&history, LIMITS);
    let timeline = timeline::of(&history, &violations);
    assert_eq!(violations, [], "killed {boundary}\n{timeline}\n{troubles}");
    history
}

async fn kill_at(watchman: &Watchman, reports: async_nats::Subscriber, fleet: &Fleet, recorder: &Recorder) {
    match watchman.boundary {
        Boundary::None => return,
        Boundary::Asked(_) | Boundary::Answered(_) | Boundary::Exporting => watchman.reached.notified().await,
        Boundary::Reported(number) => {
            // Requests are on such subjects, too.
            let events = reports.filter(|report| {
                let kind = report.subject.rsplit('.').next().unwrap_or_default();
                std::future::ready(["started", "message", "completed"].contains(&kind))
            });
            let mut events = std::pin::pin!(events.skip(number));
            events.next().await.expect("the subscription lives");
        }
    }
    let from = now();
    fleet.workers[0].signal("-KILL");
    recorder.fault(FaultKind::Kill, Some(0), from);
}
