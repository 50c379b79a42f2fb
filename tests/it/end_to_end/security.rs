//! Brokers that want to know who connects: each way plays a whole run, and whoever is refused is told what to do.

mod places;
mod tls;

use serde_json::json;

use super::{assert_nothing_was_denied, play};
use crate::support::nats::{NatsAccount, NatsServer};
use crate::support::nats_operator::Operator;
use crate::support::worker::{Place, text, within};

/// A password, a token, which is like nothing else that a test sees.
const SECRET: &str = "CanaryBroker77";

/// A place at a server of its own, whose URL says nobody's name.
fn place(server: &NatsServer) -> Place {
    Place::on(NatsAccount { url: format!("nats://{}", server.address()) })
}

/// Plays a run, shows the settings, and stops; nobody sees `secret`.
async fn plays(place: &Place, secret: &str) {
    let worker = play(place).await;
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let shown = place.run(arguments).await;
        let shown = text(&shown.stdout) + &text(&shown.stderr);
        assert!(shown.contains("credentials_file") && !shown.contains(secret), "{shown}");
    }
    worker.terminate();
    let (ended, log) = worker.ended().await;
    let log = log.join("\n");
    assert!(ended.success() && !log.contains(secret), "{log}");
}

/// What a command says that cannot connect, and its exit code.
async fn refused(place: &Place) -> (Option<i32>, String) {
    let output = place.run(&["watch"]).await;
    let said = text(&output.stderr);
    assert!(!said.contains(SECRET), "{said}");
    (output.status.code(), said)
}

/// That the settings are refused at once, with all of `parts` in what is said.
async fn assert_refused(place: &Place, parts: &[&str]) {
    let (code, said) = refused(place).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not all in:\n{said}");
}

fn with_password() -> NatsServer {
    NatsServer::bare(None, &format!("authorization {{ user: app, password: {SECRET} }}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password_in_a_file_plays_a_run() {
    let server = with_password();
    let place = place(&server).with("NATS__USER", "app");
    plays(&place.with_file("NATS__PASSWORD_FILE", &format!("{SECRET}\n")), SECRET).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_plays_a_run() {
    let server = NatsServer::bare(None, &format!("authorization {{ token: {SECRET} }}\n"));
    plays(&place(&server).with_file("NATS__TOKEN_FILE", &format!("{SECRET}\n")), SECRET).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_whose_seed_is_in_a_file_plays_a_run() {
    let key = nkeys::KeyPair::new_user();
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", key.public_key());
    let (server, seed) = (NatsServer::bare(None, &users), key.seed().unwrap());
    plays(&place(&server).with_file("NATS__NKEY_SEED_FILE", &format!("{seed}\n")), &seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_plays_a_run_and_one_that_was_renewed_is_used_after_a_reconnect() {
    let operator = Operator::new();
    let (first, second) = (operator.user(&json!({})), operator.user(&json!({})));
    let mut server = NatsServer::bare(None, &operator.configuration(&[]));
    let place = place(&server).with_file("NATS__CREDENTIALS_FILE", &first.credentials());
    let worker = play(&place).await;
    std::fs::write(place.path("NATS__CREDENTIALS_FILE"), second.credentials()).unwrap();
    server.reconfigure(&operator.configuration(&[&first]));
    worker.until_ready(503, "the broker is not connected").await;
    worker.until_ready(200, "ready").await;
    let scheduled = place.run(&super::commands::schedule(&["--json"])).await;
    assert_eq!(scheduled.status.code(), Some(0), "{}", text(&scheduled.stderr));
    within(async || worker.metric("scenario_worker_deliveries_total").await > 1.0).await;
    worker.terminate();
    let (ended, log) = worker.ended().await;
    let log = log.join("\n");
    assert!(ended.success(), "{log}");
    for user in [&first, &second] {
        assert!(!log.contains(&user.seed()), "{log}");
    }
    let revoked = place.with_file("NATS__CREDENTIALS_FILE", &first.credentials());
    assert_refused(&revoked, &["does not accept what `nats.credentials_file` says", "revoked"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_have_expired_are_refused_with_the_time_when_they_did() {
    let operator = Operator::new();
    let user = operator.user(&json!({ "exp": 1_700_000_100 }));
    let server = NatsServer::bare(None, &operator.configuration(&[]));
    let place = place(&server).with_file("NATS__CREDENTIALS_FILE", &user.credentials());
    assert_refused(&place, &["`nats.credentials_file`", "expired at 2023-11-14T22:15:00Z", "renew"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_refused_with_what_to_do_about_it() {
    let server = with_password();
    let app = || place(&server).with("NATS__USER", "app");
    let wrong = app().with_file("NATS__PASSWORD_FILE", "CanaryBroker78\n");
    assert_refused(&wrong, &["does not accept what `nats.password_file` says", "check it"]).await;
    let serving = wrong.run(&["serve"]).await;
    assert_eq!(serving.status.code(), Some(2), "{}", text(&serving.stderr));
    let in_url = Place::on(NatsAccount { url: format!("nats://app:wrong@{}", server.address()) });
    assert_refused(&in_url, &["does not accept what `nats.url` says"]).await;
    assert_refused(&place(&server), &["no setting says who connects", "`nats.credentials_file`"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_missing_or_said_twice_is_refused_by_its_settings_and_its_path() {
    let server = with_password();
    let app = || place(&server).with("NATS__USER", "app");
    let missing = app().with("NATS__PASSWORD_FILE", "/nowhere/password");
    assert_refused(&missing, &["`nats.password_file` is /nowhere/password, which cannot be read", "No such"])
        .await;
    let empty = app().with_file("NATS__PASSWORD_FILE", "\n");
    assert_refused(&empty, &["`nats.password_file`", "which is empty"]).await;
    let twice = app().with_file("NATS__PASSWORD_FILE", SECRET).with("NATS__TOKEN", SECRET);
    assert_refused(&twice, &["`nats.user` and `nats.token`", "keep one of them"]).await;
    let both = app().with_file("NATS__PASSWORD_FILE", SECRET).with("NATS__PASSWORD", SECRET);
    assert_refused(&both, &["`nats.password` and `nats.password_file` are both set"]).await;
    let url = Place::on(NatsAccount { url: format!("nats://app:{SECRET}@{}", server.address()) });
    assert_refused(&url.with("NATS__TOKEN", SECRET), &["`nats.url` and `nats.token`"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_and_the_receiver_have_secrets_in_files_too() {
    let place = Place::new().with("TELEMETRY__RECEIVER__BIND", "127.0.0.1:0");
    let store = format!("sqlite://{}\n", place.path("named.db").display());
    let place = place.with("STORE__URL", "sqlite://scenario-worker.db").with_file("STORE__URL_FILE", &store);
    let place = place.with_file("TELEMETRY__RECEIVER__TOKEN_FILE", &format!("{SECRET}\n"));
    let worker = play(&place).await;
    assert!(place.path("named.db").exists());
    let client = scenario_worker::http_client::builder().build().unwrap();
    for (token, answer) in [(SECRET, 200), ("other", 401)] {
        let sent = client.post(format!("{}/v1/traces", worker.receiver())).bearer_auth(token);
        let sent = sent.header("content-type", "application/json").body("{}").send().await.unwrap();
        assert_eq!(sent.status().as_u16(), answer);
    }
    assert_nothing_was_denied(worker).await;
    let place = place.with_file("STORE__URL_FILE", SECRET);
    let output = place.run(&super::commands::schedule(&[])).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`store.url_file` is no URL") && !said.contains(SECRET), "{said}");
}
