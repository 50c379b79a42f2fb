//! Faults, injected one after the other as the seed says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::fleet::{Fleet, Worker};
use super::history::{DRAIN, FaultKind, Limits, Recorder, now};
use super::proxy::Proxy;
use crate::support::nats::NatsServer;

/// What is dealt before anything is dealt again.
const DECK: [FaultKind; 12] = [
    FaultKind::Kill,
    FaultKind::Kill,
    FaultKind::Kill,
    FaultKind::Freeze,
    FaultKind::Nap,
    FaultKind::Terminate,
    FaultKind::BrokerKill,
    FaultKind::Cut,
    FaultKind::Partition,
    FaultKind::Blackhole,
    FaultKind::Delay,
    FaultKind::DatabaseOutage,
];
/// The pause between two faults, in milliseconds.
const PAUSE: std::ops::Range<u64> = 300..2_000;
/// How much longer than `ack_wait` a fault lasts that has to cost a worker its runs, in milliseconds.
const BEYOND_LEASE: std::ops::Range<u64> = 300..2_500;
/// How long a nap is, in hundredths of `ack_wait`.
const NAP: std::ops::Range<u32> = 60..97;
/// How long a slow connection stays slow, and how late each piece is, in milliseconds.
const SLOW_FOR: std::ops::Range<u64> = 1_000..4_000;
const LATE_BY: std::ops::Range<u64> = 20..200;
/// How long a database is away, in milliseconds.
const OUTAGE: std::ops::Range<u64> = 1_000..4_000;
/// Time for a worker to end that was told to.
const DRAINED: Duration = Duration::from_millis(2_500);
/// Tables that a SQLite file loses for a while: it has no server that could be away.
const HIDE: &str = "ALTER TABLE projects RENAME TO projects_away";
const SHOW: &str = "ALTER TABLE projects_away RENAME TO projects";
/// A tick of the watchdog.
const TICK: Duration = Duration::from_millis(100);
/// The part of `ack_wait` by which a tick may be late: one in this many.
const STALL_PART: u32 = 3;

/// Injects faults.
pub(crate) struct Injector {
    pub(crate) server: Mutex<NatsServer>,
    pub(crate) recorder: Recorder,
    pub(crate) limits: Limits,
}

/// A fault with everything that chance had to say about it.
#[derive(Debug, Clone, Copy)]
struct Card {
    kind: FaultKind,
    worker: usize,
    pause: Duration,
    lasts: Duration,
    late_by: Duration,
}

impl Injector {
    /// Injects `count` faults.
    pub(crate) async fn run(&self, fleet: &Fleet, seed: u64, count: usize) {
        for card in deal(seed, count, fleet.workers.len(), self.limits) {
            tokio::time::sleep(card.pause).await;
            self.inject(fleet, card).await;
        }
    }

    async fn inject(&self, fleet: &Fleet, card: Card) {
        let (worker, from) = (&fleet.workers[card.worker], now());
        let everybody = matches!(card.kind, FaultKind::BrokerKill | FaultKind::DatabaseOutage);
        match card.kind {
            FaultKind::Kill => worker.signal("-KILL"),
            FaultKind::Freeze | FaultKind::Nap => freeze(worker, card.lasts).await,
            FaultKind::Terminate => {
                worker.signal("-TERM");
                tokio::time::sleep(DRAINED).await;
            }
            FaultKind::BrokerKill => self.server.lock().unwrap().kill_and_restart(),
            FaultKind::DatabaseOutage => database_outage(fleet, card.lasts).await,
            FaultKind::BrokerOutage | FaultKind::MachineStall => unreachable!("it is not dealt"),
            FaultKind::Cut | FaultKind::Partition | FaultKind::Blackhole | FaultKind::Delay => {
                disturb(worker, card).await;
            }
        }
        self.recorder.fault(card.kind, (!everybody).then_some(card.worker), from);
    }

    /// Writes down when this machine stood still, which is nobody's fault.
    pub(crate) async fn watch_machine(&self) {
        loop {
            let from = now();
            tokio::time::sleep(TICK).await;
            if now().saturating_sub(from) > TICK + self.limits.ack_wait / STALL_PART {
                self.recorder.fault(FaultKind::MachineStall, None, from);
            }
        }
    }
}

fn deal(seed: u64, count: usize, workers: usize, limits: Limits) -> Vec<Card> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut cards = Vec::new();
    while cards.len() < count {
        let mut deck = DECK;
        deck.shuffle(&mut chance);
        cards.extend(deck.map(|kind| card(&mut chance, kind, workers, limits)));
    }
    cards.truncate(count);
    cards
}

fn card(chance: &mut StdRng, kind: FaultKind, workers: usize, limits: Limits) -> Card {
    let nap = limits.ack_wait / 100 * chance.random_range(NAP);
    let mut milliseconds = |range| Duration::from_millis(chance.random_range(range));
    let (pause, late_by) = (milliseconds(PAUSE), milliseconds(LATE_BY));
    let lasts = match kind {
        FaultKind::Nap => nap,
        FaultKind::Delay => milliseconds(SLOW_FOR),
        FaultKind::DatabaseOutage => milliseconds(OUTAGE),
        _ => limits.ack_wait + milliseconds(BEYOND_LEASE),
    };
    Card { kind, worker: chance.random_range(0..workers), pause, lasts, late_by }
}

async fn freeze(worker: &Arc<Worker>, lasts: Duration) {
    worker.signal("-STOP");
    tokio::time::sleep(lasts).await;
    worker.signal("-CONT");
}

async fn disturb(worker: &Arc<Worker>, card: Card) {
    for proxy in &worker.brokers {
        match card.kind {
            FaultKind::Partition => proxy.refuse(),
            FaultKind::Blackhole => proxy.freeze(),
            FaultKind::Delay => proxy.delay(card.late_by),
            _ => proxy.cut(),
        }
    }
    if card.kind != FaultKind::Cut {
        tokio::time::sleep(card.lasts).await;
    }
    worker.brokers.iter().for_each(Proxy::heal);
}

async fn database_outage(fleet: &Fleet, lasts: Duration) {
    for worker in &fleet.workers {
        hide(worker).await;
    }
    tokio::time::sleep(lasts).await;
    for worker in &fleet.workers {
        show(worker).await;
    }
}

async fn hide(worker: &Worker) {
    match &worker.store {
        Some(proxy) => proxy.refuse(),
        None => worker.database.execute(HIDE).await,
    }
}

async fn show(worker: &Worker) {
    match &worker.store {
        Some(proxy) => proxy.heal(),
        None => worker.database.execute(SHOW).await,
    }
}

#[test]
fn a_seed_deals_the_same_faults_again_and_another_seed_does_not() {
    let limits =
        Limits { ack_wait: Duration::from_secs(3), concurrency: 1, max_ack_pending: 1, drain: DRAIN };
    let dealt = |seed| format!("{:?}", deal(seed, 30, 3, limits));
    assert_eq!(dealt(7), dealt(7));
    assert_ne!(dealt(7), dealt(8));
}
