//! A cluster of three servers that loses the leader of the consumer under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;

use super::checker;
use super::doubles::Doubles;
use super::fleet::{self, Fleet};
use super::harness::{self, Pace};
use super::history::{DRAIN, FaultKind, Limits, Moment, Recorder, now};
use super::load;
use super::record;
use super::summary::{Summary, say};
use super::timeline;
use crate::support::nats::{NatsAccount, NatsServer};

pub(crate) const SERVERS: usize = 3;
const WORKERS: usize = 3;
const RUNS: usize = 60;
/// The time in which requests come; the leader is killed after a third of it and comes back after two.
const SPREAD: Duration = Duration::from_secs(24);
const LIMITS: Limits =
    Limits { ack_wait: Duration::from_secs(6), concurrency: 6, max_ack_pending: 12, drain: DRAIN };
/// Time for a cluster to elect its leaders.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const POLL: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `make faults` runs it"]
async fn the_leader_of_the_consumer_is_killed_under_load_and_no_run_is_lost_or_played_twice() {
    let (recorder, seed, began) = (Recorder::default(), harness::seed(), Instant::now());
    say(&format!("cluster: FAULTS_SEED={seed}"));
    let mut servers = NatsServer::cluster(SERVERS);
    let urls: Vec<_> = servers.iter().map(|server| server.account(0).url).collect();
    let account = NatsAccount { url: urls.join(",") };
    let client = client(&account).await;
    elected(&client).await;
    let doubles = Doubles::start(&recorder, Arc::new(Pace { seed })).await;
    let runs: Vec<String> = (0..RUNS).map(load::run_id).collect();
    let mut fleet = Fleet::start(WORKERS, &account, &doubles, &runs, LIMITS, &recorder).await;
    record::ready(&client).await;
    let killing = async {
        tokio::time::sleep(SPREAD / 3).await;
        let leader = leader(&client).await;
        let from = now();
        servers[leader].down();
        recorder.fault(FaultKind::BrokerKill, None, from);
        tokio::time::sleep(SPREAD / 3).await;
        servers[leader].up();
        from
    };
    let ((), killed) = tokio::join!(load::publish(client.clone(), &recorder, seed, RUNS, SPREAD), killing);
    let quiet = record::quiet(&client).await;
    fleet.stop().await;
    record::keep(&client, &recorder).await;
    let history = recorder.snapshot();
    let violations = checker::check(&history, LIMITS);
    let summary =
        Summary { history: &history, limits: LIMITS, violations: &violations, took: began.elapsed() };
    say(&format!("cluster: {summary}"));
    let (before, after) = (history.silence(Moment::ZERO, killed), history.silence(killed, Moment::MAX));
    say(&format!("cluster: the longest silence was {before:.2?} before and {after:.2?} after the kill"));
    let listed = checker::list(&violations);
    let timeline = timeline::of(&history, &violations);
    let troubles = fleet::troubles(&fleet);
    assert!(violations.is_empty() && quiet, "over in time: {quiet}\n{listed}\n{timeline}\n{troubles}");
    fleet.clean().await;
}

/// A client that knows every server.
pub(crate) async fn client(account: &NatsAccount) -> async_nats::Client {
    let (user, servers) = (account.url.split('@').next().unwrap(), account.url.split(','));
    let (user, password) = user.trim_start_matches("nats://").split_once(':').unwrap();
    let servers: Vec<async_nats::ServerAddr> =
        servers.map(|url| url.rsplit_once('@').unwrap().1.parse().unwrap()).collect();
    let options = async_nats::ConnectOptions::new();
    options.user_and_password(user.to_owned(), password.to_owned()).connect(servers).await.unwrap()
}

/// Waits until the cluster can make a stream with three copies.
pub(crate) async fn elected(client: &async_nats::Client) {
    let jetstream = jetstream::new(client.clone());
    let config = jetstream::stream::Config {
        name: "ELECTED".to_owned(),
        num_replicas: SERVERS,
        ..jetstream::stream::Config::default()
    };
    let made = async {
        while jetstream.get_or_create_stream(config.clone()).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("the cluster elects its leaders in time");
}

/// The number of the server that leads the workers' consumer.
async fn leader(client: &async_nats::Client) -> usize {
    let stream = jetstream::new(client.clone()).get_stream("SCENARIO_REQUESTS").await.unwrap();
    let info = stream.consumer_info("scenario-workers").await.unwrap();
    let name = info.cluster.and_then(|cluster| cluster.leader).expect("the consumer has a leader");
    name.trim_start_matches('n').parse().unwrap()
}
