//! Permissions that a user lacks.

use scenario_worker::queue::{self, Denial, Forbidden};
use scenario_worker::settings::{NatsSettings, Settings};

use super::until;
use crate::support::nats::{self, FORBIDDEN, NatsServer};

fn denial(forbidden: Forbidden) -> Denial {
    Denial { forbidden, subject: FORBIDDEN.to_owned() }
}

#[tokio::test]
async fn what_the_broker_forbids_is_known_by_subject_and_counted_each_time() {
    let settings: NatsSettings = nats::account().narrow().settings();
    let connection = queue::connect(&settings, "test").await.unwrap();
    assert_eq!((connection.denials.count(), connection.denials.in_the_way()), (0, Vec::new()));
    for _ in 0..2 {
        connection.client.publish(FORBIDDEN, "x".into()).await.unwrap();
    }
    let _subscriber = connection.client.subscribe(FORBIDDEN).await.unwrap();
    connection.client.flush().await.unwrap();
    until(async || connection.denials.count() == 3).await;
    let both = [denial(Forbidden::Publish), denial(Forbidden::Subscribe)];
    assert_eq!(connection.denials.in_the_way(), both);
    let said = connection.denials.in_the_way()[0].to_string();
    assert!(said.contains(FORBIDDEN) && said.contains("publish"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_begins_without_denials_and_finds_those_that_are_still_there() {
    let mut server = NatsServer::start();
    let settings = Settings { nats: server.account(0).narrow().settings(), ..Settings::default() };
    let connection = queue::connect(&settings.nats, "test").await.unwrap();
    connection.client.publish(FORBIDDEN, "x".into()).await.unwrap();
    until(async || !connection.denials.in_the_way().is_empty()).await;
    server.kill_and_restart();
    until(async || connection.denials.in_the_way().is_empty()).await;
    until(async || connection.is_connected()).await;
    connection.client.publish(FORBIDDEN, "x".into()).await.unwrap();
    until(async || !connection.denials.in_the_way().is_empty()).await;
    assert_eq!(connection.denials.count(), 2);
}

#[tokio::test]
async fn an_inbox_of_ones_own_that_is_forbidden_is_named_as_a_permission_names_it() {
    let deny = "publish: { deny: \"_INBOX_w.>\" }, subscribe: { deny: \"_INBOX_w.>\" }";
    let users =
        format!("authorization {{ users: [ {{ user: w, password: p, permissions: {{ {deny} }} }} ] }}\n");
    let server = NatsServer::bare(None, &users);
    let url = format!("nats://w:p@{}", server.address());
    let settings = NatsSettings { url, inbox_prefix: "_INBOX_w".to_owned(), ..NatsSettings::default() };
    let connection = queue::connect(&settings, "test").await.unwrap();
    let inbox = connection.client.new_inbox();
    connection.client.publish(inbox.clone(), "x".into()).await.unwrap();
    let _subscriber = connection.client.subscribe(inbox).await.unwrap();
    until(async || connection.denials.count() == 2).await;
    let subjects: Vec<_> = connection.denials.in_the_way().into_iter().map(|denial| denial.subject).collect();
    assert_eq!(subjects, ["_INBOX_w.>", "_INBOX_w.>"]);
}
