//! The whole: load and faults at once, then the checker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream::Stream};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::checker;
use super::doubles::{Director, Doubles};
use super::fleet::{self, Fleet};
use super::history::{Event, Kind, Limits, Recorder};
use super::injection::Injector;
use super::load;
use super::script::Step;
use super::summary::{Summary, say};
use super::timeline;
use crate::support::nats::NatsServer;

/// Repeats a run of the harness.
const SEED: &str = "FAULTS_SEED";
/// Runs of the long test.
const RUNS: &str = "FAULTS_RUNS";
const DEFAULT_RUNS: usize = 400;
/// Faults of the long test are one for this many runs.
const RUNS_PER_FAULT: usize = 6;
/// The time in which requests come, for each fault.
const SPREAD_PER_FAULT: Duration = Duration::from_millis(3_500);
/// Time for everything to be over after the last fault, and how often that is looked at.
const QUIET_PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(200);
/// The shortest and longest time that a double takes to answer, in milliseconds.
const ANSWER: std::ops::Range<u64> = 50..900;
const WORKERS: usize = 3;
const LIMITS: Limits = Limits { ack_wait: Duration::from_secs(3), concurrency: 6, max_ack_pending: 12 };

/// How much is done.
struct Plan {
    seed: u64,
    runs: usize,
    faults: usize,
}

/// Answers take a time that depends on the seed and the step.
pub(crate) struct Pace {
    pub(crate) seed: u64,
}

impl Director for Pace {
    fn before(&self, run: &str, step: Step) -> BoxFuture<'static, ()> {
        let digest = Sha256::digest(format!("{} {run} {step}", self.seed));
        let seed = u64::from_be_bytes(*digest.first_chunk().unwrap());
        let takes = StdRng::seed_from_u64(seed).random_range(ANSWER);
        tokio::time::sleep(Duration::from_millis(takes)).boxed()
    }

    fn after(&self, _run: &str, _step: Step) {}

    fn exporting(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_of_faults_loses_doubles_and_repeats_nothing() {
    rehearse(Plan { seed: seed(), runs: 60, faults: 9 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `make faults` runs it"]
async fn a_long_run_of_faults_loses_doubles_and_repeats_nothing() {
    let runs =
        std::env::var(RUNS).map_or(DEFAULT_RUNS, |runs| runs.parse().expect("FAULTS_RUNS is a number"));
    rehearse(Plan { seed: seed(), runs, faults: (runs / RUNS_PER_FAULT).max(1) }).await;
}

pub(crate) fn seed() -> u64 {
    std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("FAULTS_SEED is a number"))
}

async fn rehearse(plan: Plan) {
    say(&format!("faults: {SEED}={} repeats this ({} runs, {} faults)", plan.seed, plan.runs, plan.faults));
    let (recorder, began) = (Recorder::default(), Instant::now());
    let server = NatsServer::start();
    let account = server.account(0);
    let doubles = Doubles::start(&recorder, Arc::new(Pace { seed: plan.seed })).await;
    let runs: Vec<String> = (0..plan.runs).map(load::run_id).collect();
    let mut fleet = Fleet::start(WORKERS, &account, &doubles, &runs, LIMITS, &recorder).await;
    let client = account.client().await;
    ready(&client).await;
    let injector = Injector { server: Mutex::new(server), recorder: recorder.clone(), limits: LIMITS };
    let spread = SPREAD_PER_FAULT * u32::try_from(plan.faults).unwrap();
    let disturbed = async {
        tokio::join!(
            load::publish(client.clone(), &recorder, plan.seed, plan.runs, spread),
            injector.run(&fleet, plan.seed, plan.faults)
        );
        quiet(&client).await
    };
    let quiet = tokio::select! {
        quiet = disturbed => quiet,
        () = injector.watch_machine() => unreachable!("it never ends"),
    };
    fleet.stop().await;
    recorder.history().events = read_events(&client).await;
    let history = recorder.snapshot();
    let violations = checker::check(&history, LIMITS);
    let summary =
        Summary { history: &history, limits: LIMITS, violations: &violations, took: began.elapsed() };
    say(&format!("faults: {summary}"));
    let seed = plan.seed;
    let listed = checker::list(&violations);
    assert!(
        violations.is_empty() && quiet,
        "{SEED}={seed} (all was over in time: {quiet})\n{listed}\n{}\n{}",
        timeline::of(&history, &violations),
        fleet::troubles(&fleet)
    );
    fleet.clean().await;
}

/// Waits until a worker made the streams.
pub(crate) async fn ready(client: &async_nats::Client) {
    let jetstream = jetstream::new(client.clone());
    let made = async {
        while jetstream.get_stream("SCENARIO_REQUESTS").await.is_err()
            || jetstream.get_stream("SCENARIO_COMMANDS").await.is_err()
        {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(QUIET_PATIENCE, made).await.expect("a worker starts in time");
}

/// Waits until every request is settled; false if that takes too long.
pub(crate) async fn quiet(client: &async_nats::Client) -> bool {
    let jetstream = jetstream::new(client.clone());
    let empty = async {
        loop {
            let mut left = 0;
            for stream in ["SCENARIO_REQUESTS", "SCENARIO_COMMANDS"] {
                left += match jetstream.get_stream(stream).await {
                    Ok(stream) => stream.cached_info().state.messages,
                    Err(_) => 1,
                };
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(QUIET_PATIENCE, empty).await.is_ok()
}

/// Every event that the broker keeps, in its order.
pub(crate) async fn read_events(client: &async_nats::Client) -> Vec<Event> {
    let jetstream = jetstream::new(client.clone());
    let stream = jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
    let state = &stream.cached_info().state;
    let mut events = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        events.push(read_event(&stream, sequence).await);
    }
    events
}

async fn read_event(stream: &Stream, sequence: u64) -> Event {
    let message = stream.get_raw_message(sequence).await.unwrap();
    let mut tokens = message.subject.as_str().split('.').skip(3);
    let (run, kind) = (tokens.next().unwrap().to_owned(), tokens.next().unwrap());
    let kind = match kind {
        "started" => Kind::Started,
        "message" => Kind::Message,
        "completed" => Kind::Completed,
        other => panic!("an event of kind {other}"),
    };
    let at = Duration::from_nanos(u64::try_from(message.time.unix_timestamp_nanos()).unwrap());
    let payload: Value = serde_json::from_slice(&message.payload).unwrap();
    Event { run, kind, at, payload }
}
