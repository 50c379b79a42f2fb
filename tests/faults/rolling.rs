//! A fleet on a cluster, both restarted one by one under load, as an upgrade does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures::TryStreamExt as _;
use scenario_worker::execution::history::{HistoryFilter, RunHistory as _};
use scenario_worker::store::Store;

use super::checker;
use super::cluster::{self, PATIENCE, POLL, SERVERS};
use super::doubles::Doubles;
use super::fleet::{self, Fleet};
use super::harness::{self, Pace};
use super::history::{FaultKind, History, Kind, Limits, Moment, Recorder, now};
use super::load;
use super::record;
use super::summary::{Summary, say};
use super::timeline;
use crate::support::nats::{NatsAccount, NatsServer};
use crate::support::worker::within;

/// How many runs there are.
const RUNS: &str = "ROLLING_RUNS";
const DEFAULT_RUNS: usize = 2_000;
const WORKERS: usize = 3;
/// The time in which requests come, for each run.
const SPREAD_PER_RUN: Duration = Duration::from_millis(150);
/// The pause before each restart, so that there is load on everybody again.
const PAUSE: Duration = Duration::from_secs(5);
/// Runs have the time that they have by default to end before their worker does.
const LIMITS: Limits = Limits {
    ack_wait: Duration::from_secs(10),
    concurrency: 32,
    max_ack_pending: 96,
    drain: Duration::from_secs(25),
};
/// What the checker can see of them: for the doubles, all workers are one.
const SEEN: Limits = Limits { concurrency: LIMITS.max_ack_pending, ..LIMITS };

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `make faults` runs it"]
async fn a_fleet_and_its_brokers_restarted_one_by_one_under_load_lose_fail_and_double_no_run() {
    let (recorder, seed, began) = (Recorder::default(), harness::seed(), Instant::now());
    let runs =
        std::env::var(RUNS).map_or(DEFAULT_RUNS, |runs| runs.parse().expect("ROLLING_RUNS is a number"));
    say(&format!("rolling: FAULTS_SEED={seed}"));
    let mut servers = NatsServer::cluster(SERVERS);
    let urls: Vec<_> = servers.iter().map(|server| server.account(0).url).collect();
    let account = NatsAccount { url: urls.join(",") };
    let client = cluster::client(&account).await;
    cluster::elected(&client).await;
    let doubles = Doubles::start(&recorder, Arc::new(Pace { seed })).await;
    let names: Vec<String> = (0..runs).map(load::run_id).collect();
    let mut fleet = Fleet::sharing(WORKERS, &account, &doubles, &names, LIMITS, &recorder).await;
    record::ready(&client).await;
    let spread = SPREAD_PER_RUN * u32::try_from(runs).unwrap();
    let restarts = async {
        let from = now();
        restart_workers(&fleet, &recorder).await;
        let between = now();
        restart_servers(&mut servers, &client, &recorder).await;
        [from, between, now()]
    };
    let ((), moments) = tokio::join!(load::publish(client.clone(), &recorder, seed, runs, spread), restarts);
    let quiet = record::quiet(&client).await;
    wait_for_history(&fleet, &names).await;
    fleet.stop().await;
    record::keep(&client, &recorder).await;
    let history = recorder.snapshot();
    let violations = checker::check(&history, SEEN);
    let summary = Summary { history: &history, limits: SEEN, violations: &violations, took: began.elapsed() };
    say(&format!("rolling: {summary}"));
    report(&history, moments);
    let (listed, timeline) = (checker::list(&violations), timeline::of(&history, &violations));
    let troubles = fleet::troubles(&fleet);
    assert!(violations.is_empty() && quiet, "over in time: {quiet}\n{listed}\n{timeline}\n{troubles}");
    assert_eq!(failed(&history), Vec::<String>::new(), "runs failed because somebody was restarted");
    fleet.clean().await;
}

async fn restart_workers(fleet: &Fleet, recorder: &Recorder) {
    for worker in &fleet.workers {
        within(async || worker.has_begun()).await;
        tokio::time::sleep(PAUSE).await;
        let (from, lives) = (now(), worker.lives());
        worker.signal("-TERM");
        within(async || worker.lives() > lives && worker.has_begun()).await;
        recorder.fault(FaultKind::Terminate, None, from);
    }
}

/// Each announces its end, and the next one has to wait until it is whole again.
async fn restart_servers(servers: &mut [NatsServer], client: &async_nats::Client, recorder: &Recorder) {
    whole(client).await;
    for server in servers {
        tokio::time::sleep(PAUSE).await;
        let from = now();
        server.lame_duck();
        within(async || !listens(server).await).await;
        server.up();
        within(async || listens(server).await).await;
        recorder.fault(FaultKind::BrokerKill, None, from);
        whole(client).await;
    }
}

async fn listens(server: &NatsServer) -> bool {
    let url = server.account(0).url;
    tokio::net::TcpStream::connect(url.rsplit_once('@').unwrap().1).await.is_ok()
}

/// Waits until every copy of every stream, and of the workers' consumer, is there and up to date.
async fn whole(client: &async_nats::Client) {
    let jetstream = jetstream::new(client.clone());
    let whole = async {
        while !is_whole(&jetstream).await.unwrap_or(false) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("the cluster is whole again in time");
}

async fn is_whole(jetstream: &jetstream::Context) -> Result<bool, async_nats::Error> {
    let streams: Vec<_> = jetstream.streams().try_collect().await?;
    let requests = jetstream.get_stream("SCENARIO_REQUESTS").await?;
    let consumer = requests.consumer_info("scenario-workers").await?;
    let clusters = streams.into_iter().map(|stream| stream.cluster).chain([consumer.cluster]);
    let clusters: Vec<_> = clusters.map(|cluster| cluster.expect("it is in a cluster")).collect();
    Ok(clusters.iter().all(|cluster| {
        let copies = cluster.replicas.len();
        cluster.leader.is_some()
            && cluster.replicas.iter().all(|copy| copy.current && !copy.offline)
            && copies < SERVERS
    }))
}

/// Waits until the history has each run, and none twice: the database knows a run by its id.
async fn wait_for_history(fleet: &Fleet, names: &[String]) {
    let store = Store::open(&fleet.workers[0].database.url()).await.unwrap();
    let most = u32::try_from(names.len()).unwrap() + 1;
    within(async || {
        let runs = store.list(&HistoryFilter::default(), most).await.unwrap();
        let recorded: BTreeSet<_> = runs.iter().map(|run| run.ids.scenario_run_id.to_string()).collect();
        runs.len() == names.len() && names.iter().all(|name| recorded.contains(name))
    })
    .await;
}

/// How calls went on while somebody was restarted.
fn report(history: &History, [from, between, until]: [Moment; 3]) {
    let (before, after) = (history.silence(Moment::ZERO, from), history.silence(until, Moment::MAX));
    let (workers, servers) = (history.silence(from, between), history.silence(between, until));
    let (first, second) = (between.saturating_sub(from), until.saturating_sub(between));
    say(&format!(
        "rolling: workers restarted within {first:.1?}, servers within {second:.1?}; the longest silence was {before:.2?} \
         before, {workers:.2?} and {servers:.2?} meanwhile, {after:.2?} after"
    ));
    let mut attempts = BTreeMap::<u64, usize>::new();
    for outcome in outcomes(history) {
        *attempts.entry(outcome["attempts"].as_u64().unwrap()).or_default() += 1;
    }
    say(&format!("rolling: runs by attempts {attempts:?}"));
}

/// Runs that ended as errors of a worker, or of an agent that could not be asked again.
fn failed(history: &History) -> Vec<String> {
    let failed = outcomes(history).filter(|outcome| {
        let error = &outcome["error"];
        error["attributedTo"] == "worker" || error["code"] == "target_call_unknown"
    });
    failed.map(ToString::to_string).collect()
}

fn outcomes(history: &History) -> impl Iterator<Item = &serde_json::Value> {
    history.events.iter().filter(|event| event.kind == Kind::Completed).map(|event| &event.payload)
}
