//! Inboxes of one's own, and a broker behind a leaf node, with the shipped permissions for both.

use std::net::TcpListener;

use scenario_worker::queue;
use scenario_worker::settings::NatsSettings;

use crate::end_to_end::{assert_nothing_was_denied, play};
use crate::support::nats::{NatsServer, Role, account_users, permissions};
use crate::support::worker::Place;

/// How the file of permissions says where answers come.
const INBOX: &str = "\"_INBOX.>\"";

/// An account with these users.
fn account(users: &str) -> String {
    format!("accounts {{ T0: {{ jetstream: enabled, users: [ {{ user: t0, password: p0 }}\n{users} ] }} }}\n")
}

/// The shipped permissions, with an inbox for each user alone, as the file says how.
fn with_own_inboxes() -> String {
    let mut left = permissions();
    let mut all = String::new();
    for (_, name) in Role::ALL {
        let next = left.find("\n  }\n").expect("each user ends") + "\n  }\n".len();
        let user: String = left.drain(..next).collect();
        assert!(user.contains(&format!("user: {name}\n")) && user.contains(INBOX), "{user}");
        all += &user.replace(INBOX, &format!("\"_INBOX_{name}.>\""));
    }
    all + &left
}

/// The shipped permissions for `JetStream` of the domain `hub`, as the file says how.
fn of_hub() -> String {
    permissions().replace("$JS.API.", "$JS.hub.API.").replace("\"$KV.", "\"$JS.hub.API.$KV.")
}

#[tokio::test(flavor = "multi_thread")]
async fn users_with_inboxes_of_their_own_need_no_other() {
    let permissions = with_own_inboxes();
    assert!(!permissions.contains(INBOX));
    let server = NatsServer::bare(None, &account(&account_users(&permissions, 0)));
    let place = Place::on(server.account(0)).with_own_inboxes();
    let worker = play(&place).await;
    // Whoever asks the service is answered in an inbox that is not the worker's.
    let url = server.account(0).with_role(Role::Client).url;
    let client = NatsSettings { url, inbox_prefix: "_INBOX_client".to_owned(), ..NatsSettings::default() };
    let client = queue::connect(&client, "test").await.unwrap().client;
    let answer = client.request("scenario.run.status", "no request".into()).await.unwrap();
    assert!(answer.headers.unwrap().get("Nats-Service-Error-Code").is_some());
    assert_nothing_was_denied(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_to_a_leaf_node_plays_runs_on_the_hub() {
    // The leaf has a JetStream of its own, which must not take what is the hub's.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let leaves = format!("leafnodes {{ listen: \"127.0.0.1:{port}\" }}\n");
    let hub = NatsServer::bare(Some("hub"), &(account("{ user: leaf, password: leaf }") + &leaves));
    let remote = format!("{{ url: \"nats://leaf:leaf@127.0.0.1:{port}\", account: T0 }}");
    let users = account(&account_users(&of_hub(), 0));
    let leaf = NatsServer::bare(Some("leaf"), &format!("{users}leafnodes {{ remotes: [ {remote} ] }}\n"));
    let worker = play(&Place::on(leaf.account(0)).with("NATS__JETSTREAM_DOMAIN", "hub")).await;
    assert_nothing_was_denied(worker).await;
    for (server, streams) in [(&hub, 11), (&leaf, 0)] {
        let jetstream = async_nats::jetstream::new(server.account(0).client().await);
        assert_eq!(jetstream.query_account().await.unwrap().streams, streams);
    }
}
