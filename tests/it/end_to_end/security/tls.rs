//! Brokers with certificates.

use tempfile::TempDir;

use super::{assert_refused, place, plays, refused};
use crate::support::nats::{NatsAccount, NatsServer};
use crate::support::tls::{BY_ADDRESS, BY_NAME, CALLER, Identity, authority_pem};
use crate::support::worker::Place;

/// A server that shows `identity`, with `more` about TLS and `users`. Its files are in the folder.
fn server(identity: Identity, more: &str, users: &str) -> (NatsServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let certificate = file("server.pem", identity.certificate_pem());
    let (key, authority) = (file("server.key", identity.key_pem()), file("ca.pem", authority_pem()));
    let tls = format!("cert_file: \"{certificate}\", key_file: \"{key}\", ca_file: \"{authority}\"");
    (NatsServer::bare(None, &format!("tls {{ {tls}, {more} }}\n{users}\n")), folder)
}

/// A place that trusts the authority.
fn trusting(server: &NatsServer) -> Place {
    place(server).with_file("NATS__TLS__CA_FILE", &authority_pem())
}

fn with_caller(place: Place) -> Place {
    let place = place.with_file("NATS__TLS__CERT_FILE", &CALLER.certificate_pem());
    place.with_file("NATS__TLS__KEY_FILE", &CALLER.key_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_an_authority_of_ones_own_plays_a_run() {
    let (server, _files) =
        server(BY_ADDRESS, "timeout: 10", "authorization { user: app, password: CanaryTls1 }");
    let place = trusting(&server).with("NATS__TLS__REQUIRED", "true").with("NATS__USER", "app");
    plays(&place.with("NATS__PASSWORD", "CanaryTls1"), "CanaryTls1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_a_user_plays_a_run_with_tls_from_the_first_byte() {
    let users = "authorization { users: [ { user: \"CN=caller\" } ] }";
    let (server, _files) = server(BY_ADDRESS, "verify_and_map: true, handshake_first: true", users);
    let place = with_caller(trusting(&server)).with("NATS__TLS__FIRST", "true");
    plays(&place, "PRIVATE KEY").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_has_a_reason_to_trust_is_refused() {
    let (known, _files) = server(BY_ADDRESS, "timeout: 10", "");
    assert_refused(&place(&known), &["with TLS", "name the file of the one that did in `nats.tls.ca_file`"])
        .await;
    let (other, _files) = server(BY_NAME, "timeout: 10", "");
    assert_refused(&trusting(&other), &["is not for the host in `nats.url`", "agent.internal"]).await;
    let plain = NatsServer::bare(None, "");
    let tls = Place::on(NatsAccount { url: format!("tls://{}", plain.address()) });
    assert_refused(&tls, &["speaks no TLS", "`nats.tls.required = false`"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_says_so() {
    let (server, _files) = server(BY_ADDRESS, "verify: true", "");
    assert_refused(&trusting(&server), &["does not take this client's certificate", "`nats.tls.cert_file`"])
        .await;
    plays(&with_caller(trusting(&server)), "PRIVATE KEY").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_hold_no_certificate_are_refused_before_anybody_is_asked() {
    let nowhere = || Place::on(NatsAccount { url: "nats://127.0.0.1:9".to_owned() });
    let no_certificate = nowhere().with_file("NATS__TLS__CA_FILE", "no PEM");
    assert_refused(&no_certificate, &["`nats.tls.ca_file` is ", "no certificate in PEM form"]).await;
    let mixed = nowhere().with_file("NATS__TLS__CERT_FILE", &CALLER.certificate_pem());
    let mixed = mixed.with_file("NATS__TLS__KEY_FILE", &BY_NAME.key_pem());
    assert_refused(&mixed, &["`nats.tls.cert_file` is ", "does not go with `nats.tls.key_file`"]).await;
    let half = nowhere().with_file("NATS__TLS__KEY_FILE", &CALLER.key_pem());
    assert_refused(&half, &["`nats.tls.cert_file` and `nats.tls.key_file` belong together"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_tls_is_out_of_reach_of_who_waits_for_its_greeting() {
    let (server, _files) = server(BY_ADDRESS, "handshake_first: true", "");
    let (code, said) = refused(&trusting(&server)).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("`nats.tls.first = true`"), "{said}");
}
