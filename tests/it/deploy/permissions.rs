//! The shipped permissions are enough, and what is missing is said by name. The tests of the whole program run with them,
//! too: see `support::worker::Place`.

use std::collections::BTreeSet;

use async_nats::{HeaderMap, jetstream};
use scenario_worker::queue::{self, topology};
use scenario_worker::settings::Settings;
use serde_json::{Value, json};

use super::nack;
use crate::end_to_end::{assert_nothing_was_denied, offline, play, request};
use crate::support::nats::{self, NatsServer, Role, account_users, permissions};
use crate::support::raw_nats::RawClient;
use crate::support::worker::{PATIENCE, Place, until_said, within};

/// The comment behind which the lines are that only a worker needs which creates its streams.
const ONLY_TO_MANAGE: &str = "# From here to the end of the list:";
/// Lines of a worker without each of which something cannot be done: at the start, while it waits, in a run.
const NEEDED: [(&str, &str); 9] = [
    ("publish on", "$JS.API.STREAM.INFO.SCENARIO_EVENTS"),
    ("publish on", "$JS.API.CONSUMER.INFO.SCENARIO_REQUESTS.scenario-workers"),
    ("publish on", "$JS.API.STREAM.CREATE.KV_SCENARIO_RUNS"),
    ("publish on", "$JS.API.CONSUMER.CREATE.KV_SCENARIO_RUNS"),
    ("publish on", "$JS.API.CONSUMER.MSG.NEXT.SCENARIO_REQUESTS.scenario-workers"),
    ("publish on", "$JS.API.STREAM.MSG.GET.KV_SCENARIO_RUNS"),
    ("publish on", "$KV.SCENARIO_RUNS.>"),
    ("publish on", "scenario.events.*.*.*"),
    ("subscribe to", "scenario.run.schedule q"),
];

/// The file without its line for `subject` in the list of the first user, who is the worker.
fn without(subject: &str) -> String {
    let line = format!("          \"{subject}\"\n");
    assert!(permissions().contains(&line), "{subject} is no line of the file");
    permissions().replacen(&line, "", 1)
}

/// A server with an account for each of these files.
fn server(files: &[String]) -> NatsServer {
    let account = |(number, file): (usize, &String)| {
        let users = account_users(file, number);
        format!(
            "T{number}: {{ jetstream: enabled, users: [ {{ user: t{number}, password: p{number} }}\n{users} ] }}\n"
        )
    };
    let accounts: String = files.iter().enumerate().map(account).collect();
    NatsServer::start_with(&format!("accounts {{ {accounts} }}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_a_client_and_a_watcher_play_a_run_with_exactly_the_shipped_permissions() {
    let server = server(&[permissions()]);
    let worker = play(&Place::on(server.account(0))).await;
    assert_nothing_was_denied(worker).await;
}

/// What the first user of the file, who is the worker, may publish on.
fn worker_lines() -> BTreeSet<String> {
    let file = permissions();
    let (list, _) = file.split_once("subscribe: {").expect("the first user has a list of subscriptions");
    let lines = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    lines.map(str::to_owned).collect()
}

/// What a worker publishes on for a stream, a bucket, an object store, or a consumer (`STREAM/CONSUMER`).
fn needed(name: &str, definition: &Value) -> Vec<String> {
    let api = |rest: String| format!("$JS.API.{rest}");
    if let Some((stream, consumer)) = name.split_once('/') {
        let of_consumer = ["INFO", "CREATE", "MSG.NEXT"];
        let of_messages = ["GET", "DELETE"].map(|verb| api(format!("STREAM.MSG.{verb}.{stream}")));
        // What a consumer filters is part of what is asked for when it is created.
        let filter =
            definition["filter_subject"].as_str().map(|filter| format!(".{filter}")).unwrap_or_default();
        let about = |verb| if verb == "CREATE" { filter.as_str() } else { "" };
        let line = |verb| api(format!("CONSUMER.{verb}.{stream}.{consumer}{}", about(verb)));
        let mut lines = of_consumer.map(line).to_vec();
        lines.push(format!("$JS.ACK.{stream}.{consumer}.>"));
        return [lines, of_messages.to_vec()].concat();
    }
    let mut lines = ["INFO", "CREATE", "UPDATE"].map(|verb| api(format!("STREAM.{verb}.{name}"))).to_vec();
    if let Some(bucket) = name.strip_prefix("KV_") {
        lines.extend([format!("$KV.{bucket}.>"), api(format!("STREAM.MSG.GET.{name}"))]);
    }
    if let Some(bucket) = name.strip_prefix("OBJ_") {
        lines.extend([format!("$O.{bucket}.>"), format!("$JS.FC.{name}.>")]);
        let reading = ["DIRECT.GET.%.>", "CONSUMER.CREATE.%", "CONSUMER.CREATE.%.>", "CONSUMER.DELETE.%.*"];
        lines.extend(reading.map(|subject| api(subject.replace('%', name))));
        lines.push(api(format!("STREAM.PURGE.{name}")));
    }
    lines
}

#[tokio::test]
async fn a_worker_has_every_line_for_each_stream_bucket_store_and_consumer_that_it_creates() {
    let account = nats::account();
    let connection = queue::connect(&account.settings(), "test").await.unwrap();
    let settings = Settings { nats: account.settings(), ..Settings::default() };
    topology::ensure(&connection, &settings).await.unwrap();
    let created = nack::definitions(&connection).await;
    let needed: BTreeSet<String> =
        created.iter().flat_map(|(name, definition)| needed(name, definition)).collect();
    let lines = worker_lines();
    let missing: Vec<_> = needed.difference(&lines).collect();
    assert!(missing.is_empty(), "no lines for {missing:?}");
    let stream = |line: &str| {
        let (_, stream) = line.strip_prefix("$JS.API.STREAM.")?.rsplit_once('.')?;
        Some(stream.to_owned())
    };
    let unknown: Vec<_> = lines.iter().filter_map(|line| stream(line)).collect();
    let unknown: Vec<_> = unknown.iter().filter(|stream| !created.contains_key(*stream)).collect();
    assert!(unknown.is_empty(), "lines for {unknown:?}, which no worker has");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_taken_out_of_each_queue_with_the_shipped_permissions() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let worker = place.serve().await;
    let mut raw = RawClient::connect(&place.nats).await;
    for subject in
        ["scenario.run.requested", "scenario.run.cancel_requested", "scenario.telemetry.spooled.acme"]
    {
        raw.publish(subject.as_bytes(), b"X-Mine: \xff\r\n", b"{}").await;
    }
    raw.flush().await;
    let jetstream = async_nats::jetstream::new(place.nats.client().await);
    for (stream, left) in [
        ("SCENARIO_DEAD_LETTERS", 3),
        ("SCENARIO_REQUESTS", 0),
        ("SCENARIO_COMMANDS", 0),
        ("SCENARIO_SPOOL", 0),
    ] {
        let stream = jetstream.get_stream(stream).await.unwrap();
        within(async || stream.get_info().await.unwrap().state.messages == left).await;
    }
    assert_nothing_was_denied(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_others_create_the_streams_a_worker_needs_none_of_the_last_lines() {
    let shipped = permissions();
    let (kept, rest) = shipped.split_once(ONLY_TO_MANAGE).expect("the comment is there");
    let (_, rest) = rest.split_once("        ]\n").expect("the list ends");
    let server = server(&[format!("{kept}\n        ]\n{rest}")]);
    let account = server.account(0);
    nack::apply(&queue::connect(&account.settings(), "test").await.unwrap()).await;
    let place =
        Place::on(account).with("NATS__MANAGE_TOPOLOGY", "false").with("CONSUMER__MAX_ACK_PENDING", "640");
    let worker = play(&place).await;
    assert_nothing_was_denied(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_missing_is_said_by_name() {
    let server = server(&NEEDED.map(|(_, subject)| without(subject)));
    for (number, (denied, subject)) in NEEDED.into_iter().enumerate() {
        let account = server.account(number);
        let place = Place::on(account.clone());
        place.import(&offline("http://127.0.0.1:9/")).await;
        let worker = place.begin().await;
        let named = subject.split(['*', '>', ' ']).next().unwrap();
        let words = format!("forbids this user to {denied} '{named}");
        let client = account.client().await;
        let said = async {
            loop {
                // The stream takes it once, and not before the worker has made it.
                let id =
                    HeaderMap::from_iter([("Nats-Msg-Id".parse().unwrap(), "acme:once".parse().unwrap())]);
                let asked = request(&serde_json::json!({}));
                client.publish_with_headers("scenario.run.requested", id, asked.into()).await.unwrap();
                let (status, said) = worker.get("/readyz").await;
                if status == 503 && said.contains(&words) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("nobody said '{words}'"));
        worker.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_which_line_is_missing() {
    let shipped = permissions();
    let (worker, others) = shipped.split_once("user: client").unwrap();
    let others = others.replacen("          \"scenario.run.requested.*\"\n", "", 1);
    let server = server(&[format!("{worker}user: client{others}")]);
    let place = Place::on(server.account(0));
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let mut scheduling = place
        .command(&["schedule", "--project", "acme", "--scenario", "refund", "--target", "http:shop"])
        .spawn()
        .unwrap();
    drop(until_said(&mut scheduling, "forbids this user to publish on 'scenario.run.requested.acme'").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_may_not_ask_for_runs_and_a_client_may_not_read_their_states() {
    let server = server(&[permissions()]);
    for (role, forbidden) in [
        (Role::Watcher, "scenario.run.requested"),
        (Role::Watcher, "scenario.run.cancel"),
        (Role::Client, "$JS.API.STREAM.MSG.GET.KV_SCENARIO_RUNS"),
        (Role::Client, "$KV.SCENARIO_RUNS.run.acme.r1"),
        (Role::Client, "scenario.events.acme.r1.completed"),
        (Role::Operator, "scenario.events.acme.r1.completed"),
        (Role::Worker, "$JS.API.STREAM.DELETE.SCENARIO_EVENTS"),
    ] {
        let account = server.account(0).with_role(role);
        let connection = queue::connect(&account.settings(), "test").await.unwrap();
        connection.client.publish(forbidden, "x".into()).await.unwrap();
        within(async || connection.denials.count() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_worker_may_delete_change_or_empty_what_workers_share() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let stream = jetstream::new(place.nats.client().await).get_stream("SCENARIO_EVENTS").await.unwrap();
    for name in ["scenario-sink", "scenario-history"] {
        let before = stream.consumer_info(name).await.unwrap();
        for role in [Role::Client, Role::Watcher, Role::Operator] {
            let client = place.nats.with_role(role).client().await;
            for (subject, payload) in attempts(name) {
                client
                    .publish_with_reply(subject, client.new_inbox(), payload.to_string().into())
                    .await
                    .unwrap();
            }
            // The server has seen everything once it answers.
            client.flush().await.unwrap();
        }
        let after = stream.consumer_info(name).await.unwrap();
        assert_eq!(after.created, before.created, "{name} was made anew");
        assert_eq!(
            serde_json::to_value(&after.config).unwrap(),
            serde_json::to_value(&before.config).unwrap()
        );
        assert_eq!(
            after.delivered.consumer_sequence, before.delivered.consumer_sequence,
            "{name} was emptied"
        );
    }
}

/// Requests that would delete, replace or empty a consumer of events.
fn attempts(name: &str) -> Vec<(String, Value)> {
    let api = |rest: &str| format!("$JS.API.CONSUMER.{rest}");
    let config = json!({ "durable_name": name, "name": name, "ack_policy": "none", "filter_subject": "scenario.events.a.b.c" });
    let create = json!({ "stream_name": "SCENARIO_EVENTS", "config": config });
    vec![
        (api(&format!("DELETE.SCENARIO_EVENTS.{name}")), Value::Null),
        (api(&format!("CREATE.SCENARIO_EVENTS.{name}.scenario.events.a.b.c")), create.clone()),
        (api(&format!("CREATE.SCENARIO_EVENTS.{name}")), create.clone()),
        (api("CREATE.SCENARIO_EVENTS"), create.clone()),
        (api(&format!("DURABLE.CREATE.SCENARIO_EVENTS.{name}")), create),
        (api(&format!("MSG.NEXT.SCENARIO_EVENTS.{name}")), json!({ "batch": 1, "no_wait": true })),
    ]
}
