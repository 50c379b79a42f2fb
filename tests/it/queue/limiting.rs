//! Limits that several workers keep together over a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use scenario_worker::definitions::CallLimits;
use scenario_worker::execution::limits::{Limiter, Permit, Scope, ScopeKind, Throttled};
use scenario_worker::queue::limits::SharedClock as _;
use scenario_worker::queue::{self, KvLimiter};

use super::{Broker, until, within};
use crate::support::limits::{PassedClock, SECOND};
use crate::support::nats::NatsServer;

const LEASE: Duration = Duration::from_secs(30);

fn target(requests_per_minute: Option<u32>, max_in_flight: Option<u32>) -> [Scope; 1] {
    let limits = CallLimits { requests_per_minute, max_in_flight };
    [Scope::of(ScopeKind::Target, &["acme", "shop"], Some(limits)).unwrap()]
}

impl Broker {
    /// A worker with a connection of its own.
    async fn limiter(&self) -> KvLimiter {
        let connection = queue::connect(&self.settings.nats, "test").await.unwrap();
        KvLimiter::new(&connection, &self.topology.limits, LEASE)
    }

    async fn limiter_by(&self, clock: &PassedClock) -> KvLimiter {
        let connection = queue::connect(&self.settings.nats, "test").await.unwrap();
        KvLimiter::by_clock(&connection, &self.topology.limits, LEASE, Arc::new(clock.clone()))
    }

    /// What is kept of a scope.
    async fn kept(&self, scope: &Scope) -> serde_json::Value {
        let subject = format!("$KV.SCENARIO_LIMITS.target.{}", scope.id);
        let message = self.topology.limits.stream.get_last_raw_message_by_subject(&subject).await.unwrap();
        serde_json::from_slice(&message.payload).unwrap()
    }

    /// The parts that workers have in it.
    async fn parts(&self, scope: &Scope) -> Vec<serde_json::Value> {
        self.kept(scope).await["workers"].as_object().unwrap().values().cloned().collect()
    }
}

/// Somebody who is called, and counts how many call at once.
#[derive(Default)]
struct Callee {
    inside: AtomicUsize,
    most: AtomicUsize,
    calls: AtomicUsize,
}

impl Callee {
    async fn call(&self) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn two_workers_together_have_no_more_calls_in_flight_than_the_limit() {
    const LIMIT: u32 = 3;
    let broker = Broker::new().await;
    let (limiters, callees) = ([broker.limiter().await, broker.limiter().await], Callee::default());
    let scopes = target(None, Some(LIMIT));
    let calls = (0..80).map(async |number: usize| {
        let _permit = limiters[number % 2].admit(&scopes).await;
        callees.call().await;
    });
    within(join_all(calls)).await;
    assert_eq!(callees.calls.load(Ordering::SeqCst), 80);
    assert_eq!(callees.most.load(Ordering::SeqCst), LIMIT as usize, "the limit is used and kept");
}

#[tokio::test]
async fn two_workers_together_begin_no_more_calls_in_a_minute_than_the_limit() {
    const RATE: usize = 60;
    let (broker, clock) = (Broker::new().await, PassedClock::new());
    let limiters = [broker.limiter_by(&clock).await, broker.limiter_by(&clock).await];
    let scopes = target(Some(60), None);
    let calls = (0..150).map(async |number: usize| {
        drop(limiters[number % 2].admit(&scopes).await);
        (clock.now(), number % 2)
    });
    let mut begun = within(clock.drive(2, join_all(calls))).await;
    begun.sort_unstable();
    for window in begun.windows(RATE + 1) {
        assert!(window[RATE].0 - window[0].0 >= 60 * SECOND, "{window:?}");
    }
    let took = begun[149].0 - begun[0].0;
    assert!(took < 170 * SECOND, "150 calls at 60 a minute took {} s", took / SECOND);
    let of_first = begun[..100].iter().filter(|(_, worker)| *worker == 0).count();
    assert!((10..=90).contains(&of_first), "both have a part: {of_first} of 100");
}

#[tokio::test]
async fn the_place_of_a_lost_worker_comes_back_when_its_lease_is_over() {
    let (broker, clock) = (Broker::new().await, PassedClock::new());
    let scopes = target(None, Some(1));
    let (nats, store, theirs) = (broker.settings.nats.clone(), broker.topology.limits.clone(), clock.clone());
    let lost = scopes.clone();
    // A runtime of its own that ends with all of its tasks: a worker that says nothing any more.
    let worker = std::thread::spawn(move || {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
            let connection = queue::connect(&nats, "test").await.unwrap();
            let limiter = KvLimiter::by_clock(&connection, &store, LEASE, Arc::new(theirs));
            std::mem::forget(limiter.admit(&lost).await);
        });
    });
    until(async || worker.is_finished()).await;
    let limiter = broker.limiter_by(&clock).await;
    let began = clock.now();
    drop(within(clock.drive(1, limiter.admit(&scopes))).await);
    let waited = clock.now() - began;
    assert!((30 * SECOND..32 * SECOND).contains(&waited), "{} s", waited / SECOND);
}

#[tokio::test]
async fn a_refusal_that_one_worker_hears_slows_both() {
    let (broker, clock) = (Broker::new().await, PassedClock::new());
    let now = || clock.now();
    let (one, two) = (broker.limiter_by(&clock).await, broker.limiter_by(&clock).await);
    let scopes = target(Some(60), None);
    drop(within(clock.drive(1, two.admit(&scopes))).await);
    let refused = within(clock.drive(2, one.admit(&scopes))).await;
    refused.refused(Throttled { retry_after: Some(Duration::from_secs(20)) });
    let told = now();
    until(async || broker.kept(&scopes[0]).await["pace"]["paused_until"].as_i64().unwrap() > told).await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        drop(within(clock.drive(2, two.admit(&scopes))).await);
        begun.push(now());
    }
    assert!(begun[0] - told >= 20 * SECOND, "{} s", (begun[0] - told) / SECOND);
    // Half of the rate is a call in two seconds; twenty seconds made a sixth of the whole good.
    assert!(begun[1] - begun[0] > 14 * SECOND / 10, "{begun:?}");
    assert_eq!(one.counts()[&ScopeKind::Target].refusals, 1);
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() {
    let broker = Broker::new().await;
    let (limiter, other, scopes) = (broker.limiter().await, broker.limiter().await, target(None, Some(1)));
    let wanted = async || broker.parts(&scopes[0]).await.iter().any(|part| part["wanted"] == 1);
    let held = within(limiter.admit(&scopes)).await;
    for limiter in [limiter.clone(), other.clone()] {
        let own = scopes.clone();
        let waiting = tokio::spawn(async move { drop(limiter.admit(&own).await) });
        until(async || wanted().await).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        until(async || !wanted().await).await;
    }
    drop(held);
    drop(within(other.admit(&scopes)).await);
    until(async || broker.parts(&scopes[0]).await.is_empty()).await;
}

#[tokio::test]
async fn a_call_that_is_made_once_more_takes_its_part_of_the_rate_and_no_second_place() {
    let (broker, clock) = (Broker::new().await, PassedClock::new());
    let limiter = broker.limiter_by(&clock).await;
    let scopes = target(Some(6), Some(1));
    let permit: Box<dyn Permit> = within(clock.drive(1, limiter.admit(&scopes))).await;
    let first = clock.now();
    within(clock.drive(1, permit.again())).await;
    let second = clock.now();
    assert!(second - first >= 10 * SECOND, "{} s", (second - first) / SECOND);
}

#[tokio::test]
async fn a_call_keeps_to_the_limits_of_all_of_its_scopes() {
    let broker = Broker::new().await;
    let limiters = [broker.limiter().await, broker.limiter().await];
    let of = |kind, id: &str, most| {
        let limits = CallLimits { requests_per_minute: Some(60_000), max_in_flight: Some(most) };
        Scope::of(kind, &[id], Some(limits)).unwrap()
    };
    let project = || of(ScopeKind::Project, "acme", 3);
    let keys = ["a", "b"].map(|key| [of(ScopeKind::Provider, key, 2), project()]);
    let (callees, all) = ([Callee::default(), Callee::default()], Callee::default());
    let calls = (0..60).map(async |number: usize| {
        let key = number % 2;
        let _permit = limiters[number / 2 % 2].admit(&keys[key]).await;
        futures::future::join(callees[key].call(), all.call()).await;
    });
    within(join_all(calls)).await;
    let most = |callee: &Callee| callee.most.load(Ordering::SeqCst);
    assert!(most(&callees[0]) <= 2 && most(&callees[1]) <= 2 && most(&all) <= 3);
    assert_eq!(all.calls.load(Ordering::SeqCst), 60);
}

#[tokio::test]
async fn calls_wait_while_the_broker_is_away_and_go_on_when_it_is_back() {
    let mut server = NatsServer::start();
    let broker = Broker::on(server.account(0), |_| {}).await;
    let (limiter, scopes) = (broker.limiter().await, target(None, Some(2)));
    let held = within(limiter.admit(&scopes)).await;
    server.down();
    let theirs = (limiter.clone(), scopes.clone());
    let waiting = tokio::spawn(async move {
        let (one, two) = futures::join!(theirs.0.admit(&theirs.1), theirs.0.admit(&theirs.1));
        drop((one, two));
    });
    drop(held);
    server.up();
    within(waiting).await.unwrap();
}

/// Not a test: it measures how many permits workers get from a server on this machine. Run it by name, with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures"]
async fn how_many_calls_are_admitted_in_a_second() {
    const CALLS: usize = 10_000;
    let cases = [
        ("2 workers, 64 in flight", target(None, Some(64)), 2),
        ("2 workers, 1000000 a minute", target(Some(1_000_000), None), 2),
        ("1 worker, 64 in flight", target(None, Some(64)), 1),
        ("8 workers, 64 in flight", target(None, Some(64)), 8),
        ("8 workers, 1000000 a minute", target(Some(1_000_000), None), 8),
        ("8 workers, 1 in flight", target(None, Some(1)), 8),
    ];
    for (name, scopes, workers) in cases {
        let broker = Broker::new().await;
        let limiters = join_all((0..workers).map(|_| broker.limiter())).await;
        let (calls, runs) =
            if scopes[0].limits.max_in_flight == Some(1) { (400, 200) } else { (CALLS, 2_000) };
        let began = Instant::now();
        let all = (0..runs).map(|run| {
            let (limiter, scopes) = (limiters[run % workers].clone(), scopes.clone());
            tokio::spawn(async move {
                for _ in 0..calls / runs {
                    drop(limiter.admit(&scopes).await);
                }
            })
        });
        join_all(all).await;
        let writes = broker.topology.limits.stream.get_info().await.unwrap().state.last_sequence;
        let rate = calls as u128 * 1_000 / began.elapsed().as_millis().max(1);
        eprintln!("{name}: {rate} calls a second, {writes} writes for {calls} calls of {runs} runs");
    }
}
