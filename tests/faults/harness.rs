//! The whole: load and faults at once, then the checker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::checker;
use super::doubles::{Director, Doubles};
use super::fleet::{self, Fleet};
use super::history::{DRAIN, Limits, Recorder};
use super::injection::Injector;
use super::load;
use super::record;
use super::script::{self, Endpoint, MAX_PAYLOAD, Step};
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
/// The shortest and longest time that a double takes to answer, in milliseconds, and that of one answer in so many: longer
/// than a lease, so that a worker that is no longer a run's has time to be seen at it.
const ANSWER: std::ops::Range<u64> = 50..900;
const LONG_ANSWER: std::ops::Range<u64> = 3_000..6_000;
const LONG_EVERY: u32 = 20;
/// How long a slow endpoint takes for spans: less than a worker lets it take while the run goes on.
const SLOW: Duration = Duration::from_secs(2);
const WORKERS: usize = 3;
const LIMITS: Limits =
    Limits { ack_wait: Duration::from_secs(3), concurrency: 6, max_ack_pending: 12, drain: DRAIN };

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
        let mut chance = StdRng::seed_from_u64(u64::from_be_bytes(*digest.first_chunk().unwrap()));
        let range = if chance.random_ratio(1, LONG_EVERY) { LONG_ANSWER } else { ANSWER };
        tokio::time::sleep(Duration::from_millis(chance.random_range(range))).boxed()
    }

    fn after(&self, _run: &str, _step: Step) {}

    fn exporting(&self, run: &str) -> BoxFuture<'static, ()> {
        match script::endpoint_of(run) {
            Endpoint::Prompt => std::future::ready(()).boxed(),
            Endpoint::Slow => tokio::time::sleep(SLOW).boxed(),
            Endpoint::Hanging => std::future::pending().boxed(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_of_faults_loses_doubles_and_repeats_nothing() {
    rehearse(Plan { seed: seed(), runs: 60, faults: 10 }).await;
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
    let server = NatsServer::start_with(&format!("max_payload: {MAX_PAYLOAD}\n"));
    let account = server.account(0);
    let doubles = Doubles::start(&recorder, Arc::new(Pace { seed: plan.seed })).await;
    let runs: Vec<String> = (0..plan.runs).map(load::run_id).collect();
    let mut fleet = Fleet::start(WORKERS, &account, &doubles, &runs, LIMITS, &recorder).await;
    let client = account.client().await;
    record::ready(&client).await;
    let injector = Injector { server: Mutex::new(server), recorder: recorder.clone(), limits: LIMITS };
    let spread = SPREAD_PER_FAULT * u32::try_from(plan.faults).unwrap();
    let disturbed = async {
        tokio::join!(
            load::publish(client.clone(), &recorder, plan.seed, plan.runs, spread),
            injector.run(&fleet, plan.seed, plan.faults)
        );
        record::quiet(&client).await
    };
    let quiet = tokio::select! {
        quiet = disturbed => quiet,
        () = injector.watch_machine() => unreachable!("it never ends"),
    };
    fleet.stop().await;
    record::keep(&client, &recorder).await;
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
    assert!(history.pieces > 0, "no transcript was too large for a message");
    fleet.clean().await;
}
