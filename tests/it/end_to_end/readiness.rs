//! What a worker says of itself while something that it needs is not there.

use std::net::TcpListener;

use async_nats::HeaderMap;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::commands::schedule;
use super::strangers::{offline, outcome, publish, request};
use crate::support::nats::{NatsAccount, NatsServer};
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, text, within};

/// What the log says of a pull that went wrong, and how often it may for one loss of a cluster's leader: the worker has
/// six consumers, and each may meet the loss of the connection, the silence and the return as troubles of their own.
const CUT_SHORT: &str = "a pull was cut short";
const MOST_CUT_SHORT: usize = 18;

/// How often a worker tries in vain to connect before its broker is back.
const ATTEMPTS: usize = 4;

/// Agents are never asked here.
const NO_AGENT: &str = "http://127.0.0.1:9/";

#[tokio::test]
async fn a_worker_that_waits_for_its_broker_says_so_and_stops_when_it_is_told_to() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Place::new().with("NATS__URL", &format!("nats://{free}"));
    place.import(&offline(NO_AGENT)).await;
    let worker = place.begin().await;
    assert_eq!(worker.get("/healthz").await.0, 200);
    worker.until_ready(503, &free.to_string()).await;
    worker.terminate();
    let (status, log) = worker.ended().await;
    // A worker that waited on would end with 3.
    assert_eq!(status.code(), Some(0), "{}", log.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_leader_is_waited_for_and_then_out_of_reach() {
    let mut servers = tokio::task::block_in_place(|| NatsServer::cluster(2));
    let place = Place::on(servers[0].account(0));
    place.import(&offline(NO_AGENT)).await;
    servers[1].down();
    let waiting = place.begin().await;
    assert_eq!(waiting.get("/healthz").await.0, 200);
    waiting.until_ready(503, "SCENARIO_REQUESTS").await;
    waiting.kill().await;
    let given_up = place.run(&["serve"]).await;
    assert_eq!(given_up.status.code(), Some(3), "{}", text(&given_up.stderr));
    let patient = place.begin().await;
    patient.until_ready(503, "SCENARIO_REQUESTS").await;
    servers[1].up();
    patient.until_ready(200, "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_streams_lost_their_leader_is_not_ready_until_there_is_one() {
    let mut servers = tokio::task::block_in_place(|| NatsServer::cluster(3));
    let urls: Vec<String> = servers.iter().map(|server| server.account(0).url).collect();
    let account = NatsAccount { url: urls.join(",") };
    let place = Place::on(account).with("NATS__REPLICAS", "3").with("CONSUMER__PULL_EXPIRES_SECONDS", "2");
    place.import(&offline(NO_AGENT)).await;
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    for server in &mut servers[1..] {
        server.down();
    }
    worker.until_ready(503, "JetStream does not serve").await;
    assert_eq!(worker.get("/healthz").await.0, 200, "a restart would not help");
    for server in &mut servers[1..] {
        server.up();
    }
    worker.until_ready(200, "ready").await;
    worker.terminate();
    let (_, log) = worker.ended().await;
    let cut_short = log.iter().filter(|line| line.contains(CUT_SHORT)).count();
    assert!(cut_short <= MOST_CUT_SHORT, "a line for each change, not for each pull:\n{}", log.join("\n"));
    assert!(log.iter().any(|line| line.contains("the worker is ready")), "{}", log.join("\n"));
}

#[tokio::test]
async fn a_worker_whose_store_lost_a_table_is_not_ready_until_it_is_back() {
    let place = Place::new();
    place.import(&offline(NO_AGENT)).await;
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    execute(&place, "ALTER TABLE projects RENAME TO projects_away").await;
    worker.until_ready(503, "definitions cannot be read").await;
    execute(&place, "ALTER TABLE projects_away RENAME TO projects").await;
    worker.until_ready(200, "ready").await;
}

#[tokio::test]
async fn a_worker_whose_database_file_is_gone_is_not_ready_until_it_is_back() {
    let place = Place::new();
    place.import(&offline(NO_AGENT)).await;
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    std::fs::rename(place.path("worker.db"), place.path("elsewhere.db")).unwrap();
    worker.until_ready(503, "there is no database file").await;
    assert!(worker.metric("scenario_worker_ready").await < 1.0);
    std::fs::rename(place.path("elsewhere.db"), place.path("worker.db")).unwrap();
    worker.until_ready(200, "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_one_line_when_it_begins_and_one_when_it_is_over() {
    let mut server = tokio::task::block_in_place(NatsServer::start);
    let place = Place::on(server.account(0)).with("LOG__FORMAT", "json");
    place.import(&offline(NO_AGENT)).await;
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    // What the server says of the consumer is known from the last look on, which is behind its line of the log.
    let looked = async || worker.get("/metrics").await.1.contains("scenario_worker_consumer_pending ");
    server.down();
    worker.until_ready(503, "the broker is not connected").await;
    within(async || !looked().await).await;
    let in_its_place = tokio::net::TcpListener::bind(server.address()).await.unwrap();
    for _ in 0..ATTEMPTS {
        drop(in_its_place.accept().await.unwrap());
    }
    drop(in_its_place);
    server.up();
    worker.until_ready(200, "ready").await;
    within(looked).await;
    worker.terminate();
    let (_, log) = worker.ended().await;
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!(said("the worker is not ready"), 1, "{log:#?}");
    assert_eq!(said("the worker is ready"), 1, "{log:#?}");
    let problems: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "NATS reports a problem")
        .map(|line| &line["problem"])
        .collect();
    for problem in &problems {
        assert_eq!(problems.iter().filter(|other| other == &problem).count(), 1, "{problem} in {log:#?}");
    }
    assert!(!problems.is_empty(), "{log:#?}");
}

async fn execute(place: &Place, statement: &'static str) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", place.path("worker.db").display());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

/// Publishes a request, and waits until the worker had it.
async fn request_is_taken(place: &Place, worker: &Worker) {
    let client = place.nats.client().await;
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    within(async || worker.metric("scenario_worker_deliveries_total").await > 0.0).await;
}

#[tokio::test]
async fn without_a_database_file_runs_wait_and_none_is_created() {
    let shop = Shop::open(std::time::Duration::ZERO).await;
    let place = Place::new();
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    request_is_taken(&place, &worker).await;
    let refused = place.run(&schedule(&[])).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("scenario-worker import FILE"), "{}", text(&refused.stderr));
    assert!(!place.path("worker.db").exists());
    place.import(&offline(shop.url())).await;
    worker.until_ready(200, "ready").await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!((&outcome["status"], &outcome["error"]), (&json!("SUCCESS"), &json!(null)));
}

#[tokio::test]
async fn an_empty_database_ends_no_run() {
    let shop = Shop::open(std::time::Duration::ZERO).await;
    let place = Place::new();
    assert_eq!(place.run(&["migrate"]).await.status.code(), Some(0));
    let worker = place.serve().await;
    worker.until_ready(200, "ready").await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    request_is_taken(&place, &worker).await;
    place.import(&offline(shop.url())).await;
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
}
