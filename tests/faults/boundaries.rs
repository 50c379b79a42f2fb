//! Three ways for a run to end, its worker killed at every step boundary, one by one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use scenario_worker::execution::failure::code::TARGET_CALL_UNKNOWN;
use serde_json::Value;
use tokio::sync::Notify;

use super::checker::{self, Violation};
use super::doubles::Director;
use super::fleet::Worker;
use super::history::{DRAIN, History, Kind, Limits, Moment, now};
use super::load;
use super::record;
use super::scene::Scene;
use super::script::{self, Part, Step};
use super::summary::{say, waits};
use crate::support::nats;
use crate::support::worker::PATIENCE;

/// Boundaries that are tried at a time: each has a worker of its own.
const AT_ONCE: usize = 8;
/// A run of two turns that goes well.
const WELL: usize = 1;
/// A run of one turn in which the agent refuses to answer.
const REFUSED: usize = 28;
/// A run of one turn whose agent must not be asked twice, and one in which that agent refuses to answer.
const CAREFUL: usize = 12;
const CAREFUL_REFUSED: usize = 112;
const LIMITS: Limits =
    Limits { ack_wait: Duration::from_secs(3), concurrency: 1, max_ack_pending: 1, drain: DRAIN };
/// The shortest time for which a stream can remember what it has: a repeated event is to be seen, and not to be hidden by luck.
const SHORT_MEMORY: Duration = Duration::from_millis(100);

/// What a worker says to the broker at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Outcome,
    State,
    Acknowledgement,
}

impl Word {
    /// By what it is known on the wire.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Outcome => &[".completed "],
            Self::State => &[r#""phase":"finished""#],
            // Events are acknowledged, too.
            Self::Acknowledgement => &["$JS.ACK.SCENARIO_REQUESTS.", "+ACK"],
        }
    }
}

/// A moment at which the worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    /// Never.
    None,
    /// While the step's call waits for its answer.
    Asked(Step),
    /// When the step's answer was handed over.
    Answered(Step),
    /// When the step's answer was read, and what it says is on its way to the broker.
    Unwritten(Step),
    /// When the run's event with this number was stored.
    Reported(usize),
    /// While the spans are delivered that were made up to the end.
    Exporting,
    /// When this is on its way to the broker.
    Unsaid(Word),
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "never"),
            Self::Asked(step) => write!(f, "before the answer of {step}"),
            Self::Answered(step) => write!(f, "after the answer of {step}"),
            Self::Unwritten(step) => write!(f, "before what {step} said was stored"),
            Self::Reported(number) => write!(f, "after event {number}"),
            Self::Exporting => write!(f, "while spans are delivered"),
            Self::Unsaid(word) => write!(f, "before the {word:?} was stored"),
        }
    }
}

/// Holds the call at the boundary and says when the boundary is reached, once.
struct Watchman {
    boundary: Boundary,
    /// The last step of the run.
    last: Step,
    armed: AtomicBool,
    over: AtomicBool,
    reached: Arc<Notify>,
    /// Since when no word of the run reaches the broker, however long the worker takes to say the next one.
    caught_since: OnceLock<Moment>,
    /// Through whose proxy words are caught.
    worker: OnceLock<Arc<Worker>>,
}

impl Watchman {
    fn new(boundary: Boundary, last: Step) -> Self {
        let (armed, over) = (AtomicBool::new(boundary != Boundary::None), AtomicBool::new(false));
        let (caught_since, worker) = (OnceLock::new(), OnceLock::new());
        Self { boundary, last, armed, over, reached: Arc::default(), caught_since, worker }
    }

    fn reach(&self) -> bool {
        let first = self.armed.swap(false, Ordering::SeqCst);
        if first {
            self.reached.notify_one();
        }
        first
    }

    /// Catches the next of the worker's `words`, which is the boundary.
    fn catch(&self, words: &[&str]) {
        if self.armed.swap(false, Ordering::SeqCst) {
            let worker = self.worker.get().expect("no call is made before a request");
            worker.brokers[0].catch(words, Arc::clone(&self.reached));
        }
    }
}

/// The doubles' director.
struct Direction(Arc<Watchman>);

impl Director for Direction {
    fn before(&self, run: &str, step: Step) -> BoxFuture<'static, ()> {
        match self.0.boundary {
            Boundary::Asked(at) if at == step && self.0.reach() => return std::future::pending().boxed(),
            Boundary::Unwritten(at) if at == step => {
                self.0.catch(&[&format!("{run} ")]);
                self.0.caught_since.get_or_init(now);
            }
            Boundary::Unsaid(word) => self.0.catch(word.marks()),
            _ => {}
        }
        std::future::ready(()).boxed()
    }

    fn after(&self, _run: &str, step: Step) {
        self.0.over.fetch_or(step == self.0.last, Ordering::SeqCst);
        if self.0.boundary == Boundary::Answered(step) {
            self.0.reach();
        }
    }

    fn exporting(&self, _run: &str) -> BoxFuture<'static, ()> {
        let over = self.0.over.load(Ordering::SeqCst);
        if over && self.0.boundary == Boundary::Exporting && self.0.reach() {
            return std::future::pending().boxed();
        }
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_step_boundary_of_a_scenario_loses_and_repeats_nothing() {
    let run = load::run_id(WELL);
    let steps = script::steps_of(&run);
    let answered = steps.iter().map(|step| Boundary::Answered(*step));
    // One event for the beginning, one for each message, one for the outcome.
    let events = script::transcript_of(&run).len() + 2;
    let reported = (0..events).map(Boundary::Reported);
    let found = try_all(WELL, usual(&steps).chain(answered).chain(reported).collect()).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_step_boundary_of_a_run_that_ends_as_an_error_changes_nothing() {
    let steps = script::steps_of(&load::run_id(REFUSED));
    let found = try_all(REFUSED, usual(&steps).collect()).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_step_boundary_never_asks_an_agent_twice_that_must_not_be() {
    let steps = script::steps_of(&load::run_id(CAREFUL));
    let agent = Step { turn: 1, part: Part::Agent };
    let mut found = try_all(CAREFUL, usual(&steps).chain([Boundary::Answered(agent)]).collect()).await;
    let boundaries = [Boundary::Exporting, Boundary::Unsaid(Word::Outcome), Boundary::Unsaid(Word::State)];
    found.extend(try_all(CAREFUL_REFUSED, boundaries.into()).await);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The boundaries that every scenario has.
fn usual(steps: &[Step]) -> impl Iterator<Item = Boundary> + '_ {
    let calls = steps.iter().flat_map(|step| [Boundary::Asked(*step), Boundary::Unwritten(*step)]);
    let words = [Word::Outcome, Word::State, Word::Acknowledgement].map(Boundary::Unsaid);
    calls.chain([Boundary::Exporting]).chain(words)
}

/// What is wrong with the boundaries, said in full and returned in short.
async fn try_all(number: usize, boundaries: Vec<Boundary>) -> Vec<String> {
    let (undisturbed, violations) = play(number, Boundary::None).await;
    assert_eq!(violations, [], "without any kill");
    let played: Vec<_> = futures::stream::iter(boundaries)
        .map(|boundary| async move { (boundary, play(number, boundary).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut found = Vec::new();
    for (boundary, (history, violations)) in &played {
        let broken = violations.iter().map(ToString::to_string);
        let broken = broken.chain(differs(*boundary, history, &undisturbed));
        found.extend(broken.map(|what| format!("run {number} killed {boundary}: {what}")));
    }
    let steps = script::steps_of(&load::run_id(number)).len();
    let calls: usize = played.iter().map(|(_, (history, _))| history.calls.len().saturating_sub(steps)).sum();
    let histories: Vec<_> = played.iter().map(|(_, (history, _))| history).collect();
    let (kills, waits, ack_wait) = (played.len(), waits(&histories), LIMITS.ack_wait);
    say(&format!("boundaries of run {number}: {kills} kills, {calls} calls in flight made again"));
    say(&format!("boundaries of run {number}: from a kill to the next call {waits}, ack_wait {ack_wait:?}"));
    found
}

/// What is not as in the undisturbed history, and should be.
fn differs(boundary: Boundary, history: &History, undisturbed: &History) -> Option<String> {
    let run = &undisturbed.accepted[0].run;
    let of_careful_agent = |step: Step| step.part == Part::Agent && script::is_careful(run);
    match boundary {
        Boundary::Asked(step) | Boundary::Unwritten(step) if of_careful_agent(step) => {
            let code = &outcome(history)?["error"]["code"];
            return (code != TARGET_CALL_UNKNOWN).then(|| format!("it ended with the code {code}"));
        }
        // Whether the answer was stored before the kill is a matter of luck.
        Boundary::Answered(step) if of_careful_agent(step) => return None,
        _ => {}
    }
    let again = match boundary {
        Boundary::Asked(step) | Boundary::Unwritten(step) => Some(step),
        _ => None,
    };
    // What is in flight when a kill comes late is a matter of luck, too.
    let by_chance = matches!(boundary, Boundary::Reported(_) | Boundary::Answered(_));
    let mut more = undisturbed.calls.iter().map(|call| call.step).filter(|step| {
        history.calls.iter().filter(|call| call.step == *step).count() != 1
            && Some(*step) != again
            && !by_chance
    });
    if let Some(step) = more.next() {
        return Some(format!("{step} was not called for once"));
    }
    let (first, other) = (essence(undisturbed)?, essence(history)?);
    (first != other).then(|| format!("it came to {other} instead of {first}"))
}

fn outcome(history: &History) -> Option<&Value> {
    history.events.iter().find(|event| event.kind == Kind::Completed).map(|event| &event.payload)
}

/// What does not depend on when and where the run was played.
fn essence(history: &History) -> Option<Value> {
    let outcome = outcome(history)?;
    let mut fields = ["status", "verdict", "reasoning", "criteria", "turns", "error", "usage"].to_vec();
    let mut essence: serde_json::Map<_, _> =
        fields.drain(..).map(|field| (field.to_owned(), outcome[field].clone())).collect();
    // The doubles have another port each time, which errors name.
    if let Some(Value::Object(error)) = essence.get_mut("error") {
        error.remove("message");
        essence.remove("reasoning");
    }
    Some(Value::Object(essence))
}

/// Plays the scenario on one worker that is killed at the boundary and started again.
async fn play(number: usize, boundary: Boundary) -> (History, Vec<Violation>) {
    let last = *script::steps_of(&load::run_id(number)).last().unwrap();
    let watchman = Arc::new(Watchman::new(boundary, last));
    let direction = Arc::new(Direction(Arc::clone(&watchman)));
    let scene = Scene::start(1, number, &nats::account(), direction, LIMITS).await;
    watchman.worker.get_or_init(|| Arc::clone(&scene.fleet.workers[0]));
    forget_soon(&scene.client).await;
    let reports = scene.client.subscribe("scenario.run.*").await.unwrap();
    scene.client.flush().await.unwrap();
    scene.request().await;
    if boundary != Boundary::None {
        let reached = reached(&watchman, reports);
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("killed {boundary}: never"));
        if boundary == Boundary::Exporting {
            tokio::time::sleep(checker::STORED * 2).await;
        }
        scene.kill(0, watchman.caught_since.get().copied());
    }
    scene.end(&format!("run {number} killed {boundary}")).await
}

/// Lets the stream of events refuse no event for having had one of the same id. A worker that starts undoes this.
async fn forget_soon(client: &async_nats::Client) {
    let jetstream = jetstream::new(client.clone());
    let mut config = jetstream.get_stream(record::EVENTS).await.unwrap().cached_info().config.clone();
    config.duplicate_window = SHORT_MEMORY;
    jetstream.update_stream(config).await.unwrap();
}

async fn reached(watchman: &Watchman, reports: async_nats::Subscriber) {
    let Boundary::Reported(number) = watchman.boundary else { return watchman.reached.notified().await };
    // Requests are on such subjects, too.
    let events = reports.filter(|report| {
        let kind = report.subject.rsplit('.').next().unwrap_or_default();
        std::future::ready(["started", "message", "completed"].contains(&kind))
    });
    let mut events = std::pin::pin!(events.skip(number));
    events.next().await.expect("the subscription lives");
}
