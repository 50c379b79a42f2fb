//! Streams, consumers and the bucket.

use async_nats::jetstream::consumer::pull;
use scenario_worker::queue::{self, TopologyError, topology};
use scenario_worker::settings::Settings;

use super::Broker;
use crate::support::nats;

#[tokio::test]
async fn the_topology_is_created_and_a_second_start_changes_nothing() {
    let broker = Broker::new().await;
    let created = broker.connection.jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
    topology::ensure(&broker.connection, &broker.settings).await.unwrap();
    let again = broker.connection.jetstream.get_stream("SCENARIO_EVENTS").await.unwrap();
    assert_eq!(created.cached_info().config, again.cached_info().config);
    let mut names: Vec<String> =
        futures::TryStreamExt::try_collect(broker.connection.jetstream.stream_names()).await.unwrap();
    names.sort();
    assert_eq!(
        names,
        [
            "KV_SCENARIO_LIMITS",
            "KV_SCENARIO_RUNS",
            "OBJ_SCENARIO_CASSETTES",
            "OBJ_SCENARIO_SPANS",
            "OBJ_SCENARIO_TRANSCRIPTS",
            "SCENARIO_ADVISORIES",
            "SCENARIO_COMMANDS",
            "SCENARIO_DEAD_LETTERS",
            "SCENARIO_EVENTS",
            "SCENARIO_REQUESTS",
            "SCENARIO_SPOOL"
        ]
    );
}

#[tokio::test]
async fn a_changed_setting_is_applied_and_an_operators_own_limit_stays() {
    let mut broker = Broker::new().await;
    let mut limited =
        broker.connection.jetstream.get_stream("SCENARIO_EVENTS").await.unwrap().cached_info().config.clone();
    limited.max_bytes = 1_000_000;
    broker.connection.jetstream.update_stream(limited).await.unwrap();
    broker.settings.events.failed_retention_seconds *= 2;
    broker.settings.events.republish = false;
    broker.settings.consumer.ack_wait_seconds = 12;
    let topology = topology::ensure(&broker.connection, &broker.settings).await.unwrap();
    let events = &topology.events.cached_info().config;
    assert_eq!((events.max_bytes, events.max_age.as_secs()), (1_000_000, 604_800 * 2));
    assert!(events.republish.is_none());
    assert_eq!(topology.requests.cached_info().config.ack_wait.as_secs(), 12);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_field_and_values() {
    let broker = Broker::new().await;
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.delete_consumer("scenario-workers").await.unwrap();
    let narrow = pull::Config {
        durable_name: Some("scenario-workers".to_owned()),
        max_waiting: 7,
        ..pull::Config::default()
    };
    stream.create_consumer(narrow).await.unwrap();
    let error = topology::ensure(&broker.connection, &broker.settings).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, TopologyError::Refused { .. }), "{text}");
    for part in
        ["consumer scenario-workers of stream SCENARIO_REQUESTS", "`max_waiting` must be 4096 but is 7"]
    {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[tokio::test]
async fn without_leave_to_manage_nothing_is_created_and_drift_is_named() {
    let account = nats::account();
    let mut settings = Settings { nats: account.settings(), ..Settings::default() };
    settings.nats.manage_topology = false;
    let connection = queue::connect(&settings.nats, "test").await.unwrap();
    let missing = topology::ensure(&connection, &settings).await.unwrap_err();
    assert!(matches!(missing, TopologyError::Missing { .. }), "{missing}");
    assert!(missing.to_string().contains("stream SCENARIO_REQUESTS"), "{missing}");

    settings.nats.manage_topology = true;
    topology::ensure(&connection, &settings).await.unwrap();
    settings.nats.manage_topology = false;
    topology::ensure(&connection, &settings).await.unwrap();
    settings.consumer.ack_wait_seconds = 99;
    let drift = topology::ensure(&connection, &settings).await.unwrap_err();
    assert!(matches!(drift, TopologyError::Drift { .. }), "{drift}");
    assert!(drift.to_string().contains("`ack_wait` must be 99s but is 30s"), "{drift}");
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_without_the_password() {
    let settings = scenario_worker::settings::NatsSettings {
        // Port 1 is reserved and not listened on.
        url: "nats://me:hunter2@127.0.0.1:1".to_owned(),
        ..Default::default()
    };
    let error = queue::connect(&settings, "test").await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("127.0.0.1:1") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let mut settings = nats::account().settings();
    settings.url = settings.url.replacen(":p", ":wrong", 1);
    let error = queue::connect(&settings, "test").await.unwrap_err();
    assert!(matches!(error, queue::ConnectError::Unauthorized { .. }), "{error}");
    assert!(error.is_for_the_settings() && !error.may_pass(), "waiting does not help");
}

#[tokio::test]
async fn requests_are_delivered_without_limit_but_for_one_that_an_operator_sets() {
    let broker = Broker::new().await;
    let config = broker.topology.requests.cached_info().config.clone();
    assert_eq!(config.max_deliver, -1);
    let limited = pull::Config {
        durable_name: config.durable_name,
        ack_wait: config.ack_wait,
        max_ack_pending: config.max_ack_pending,
        max_waiting: config.max_waiting,
        max_deliver: 50,
        ..pull::Config::default()
    };
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.create_consumer(limited).await.unwrap();
    let topology = topology::ensure(&broker.connection, &broker.settings).await.unwrap();
    assert_eq!(topology.requests.cached_info().config.max_deliver, 50);
}
