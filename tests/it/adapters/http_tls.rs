//! Certificates of an agent's own.

use scenario_worker::definitions::Secrets;
use serde_json::{Value, json};

use super::stage::{LINE, ask_with, dialogue, failure, http_adapter, secrets, with};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::tls::{BY_ADDRESS, BY_NAME, CALLER, Callers, Identity, answering, authority_pem, server};

async fn asked(identity: Identity, callers: Callers, tls: Value, secrets: Secrets) -> Result<String, String> {
    let url = format!("https://{}/chat", server(identity, callers));
    let config = with(json!({ "url": url, "timeoutSeconds": 20 }), tls);
    let reply = ask_with(config, secrets, json!({}), &dialogue(LINE)).await;
    reply.map(|reply| reply.content).map_err(|failure| failure.message)
}

fn trusting(more: Value) -> Value {
    json!({ "tls": with(json!({ "caCertificate": authority_pem() }), more) })
}

#[tokio::test]
async fn an_agent_of_one_s_own_authority_is_trusted_where_the_definition_says_so() {
    let anybody = Callers::Anybody;
    assert_eq!(asked(BY_ADDRESS, anybody, trusting(json!({})), Secrets::new()).await.unwrap(), "ok");
    let within = |base| with(base, json!({ "connectTimeoutSeconds": 15 }));
    let quick = asked(BY_ADDRESS, anybody, within(trusting(json!({}))), Secrets::new()).await;
    assert_eq!(quick.unwrap(), "ok");
    for (own, name) in [(json!({}), "the usual limit"), (within(json!({})), "a limit of its own")] {
        let distrusted = asked(BY_ADDRESS, anybody, own, Secrets::new()).await.unwrap_err();
        assert!(distrusted.contains("the TLS connection failed"), "{name}: {distrusted}");
    }
    let other = asked(BY_NAME, anybody, trusting(json!({})), Secrets::new()).await.unwrap_err();
    assert!(other.contains("the TLS connection failed"), "the name has to fit: {other}");
}

#[tokio::test]
async fn a_certificate_may_be_for_another_name() {
    let named = |name: &str| trusting(json!({ "serverName": name }));
    let ask = |name: &'static str| asked(BY_NAME, Callers::Anybody, named(name), Secrets::new());
    assert_eq!(ask("agent.internal").await.unwrap(), "ok");
    assert!(ask("other.internal").await.is_err());
}

#[tokio::test]
async fn a_client_that_has_to_prove_who_it_is_does() {
    let by_secret = json!({ "clientCertificate": "{{ secrets.CERT }}", "clientKey": "{{ secrets.KEY }}" });
    let (certificate, key) = (CALLER.certificate_pem(), CALLER.key_pem());
    let known = secrets([("CERT", &certificate), ("KEY", &key)]);
    let ask = |tls| asked(BY_ADDRESS, Callers::Known, tls, known.clone());
    assert_eq!(ask(trusting(by_secret)).await.unwrap(), "ok");
    assert!(ask(trusting(json!({}))).await.is_err());
}

#[tokio::test]
async fn one_s_own_authority_is_not_trusted_where_a_redirect_leads() {
    let elsewhere = format!("https://{}/chat", server(BY_ADDRESS, Callers::Anybody));
    let headers = move || vec![("location", elsewhere.clone())];
    let agent =
        HttpAgent::start(move |_| Answer::Reply { status: 307, headers: headers(), body: vec![] }).await;
    let config = with(json!({ "url": agent.url(), "timeoutSeconds": 20 }), trusting(json!({})));
    let failure = ask_with(config, Secrets::new(), json!({}), &dialogue(LINE)).await.unwrap_err();
    assert!(failure.message.contains("the TLS connection failed"), "{failure}");
}

#[tokio::test]
async fn a_client_proves_who_it_is_to_nobody_that_the_agent_names() {
    let (elsewhere, proofs) = answering(
        BY_ADDRESS,
        Callers::Asked,
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec(),
    );
    let identity = json!({ "clientCertificate": CALLER.certificate_pem(), "clientKey": CALLER.key_pem() });
    let job = format!(r#"{{"at": "https://{elsewhere}/job"}}"#);
    let accepted = format!(
        "HTTP/1.1 202 Accepted\r\nlocation: https://{elsewhere}/job\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{job}",
        job.len()
    );
    for poll in [json!({}), json!({ "url": "$.at" })] {
        let poll = with(json!({ "intervalSeconds": 0.1 }), poll);
        let (home, known) = answering(BY_ADDRESS, Callers::Known, accepted.clone().into_bytes());
        let config = json!({ "url": format!("https://{home}/chat"), "timeoutSeconds": 20, "poll": poll });
        let config = with(config, trusting(identity.clone()));
        let failure = ask_with(config, Secrets::new(), json!({}), &dialogue(LINE)).await.unwrap_err();
        assert!(failure.message.contains("the TLS connection failed"), "one's own authority: {failure}");
        assert_eq!((known.lock().unwrap().clone(), proofs.lock().unwrap().clone()), (vec![true], vec![]));
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_before_the_run() {
    let (certificate, key) = (CALLER.certificate_pem(), CALLER.key_pem());
    let other = BY_NAME.key_pem();
    for (tls, words) in [
        (
            json!({ "caCertificate": "nothing" }),
            "tls: the authority's certificate is not a certificate in PEM form",
        ),
        (json!({ "clientCertificate": certificate }), "tls: clientCertificate and clientKey belong together"),
        (json!({ "clientCertificate": "x", "clientKey": key }), "tls: the client's certificate is not"),
        (json!({ "clientCertificate": certificate, "clientKey": "x" }), "tls: the client's key is not"),
        (
            json!({ "clientCertificate": certificate, "clientKey": other }),
            "tls: the certificates cannot be used",
        ),
        (json!({ "serverName": "not a name" }), "tls: 'not a name' is no name"),
        (
            json!({ "clientCertificate": certificate, "clientKey": "{{ secrets.K }}" }),
            "tls: the client's key is not",
        ),
        (json!({ "caCertificate": "{{ secrets.NO }}" }), "the secret 'NO' that tls.caCertificate names"),
        (json!({ "insecure": true }), "unknown field `insecure`"),
    ] {
        let config = json!({ "url": "https://shop.example", "tls": tls });
        let failed = http_adapter(config, secrets([("K", "no-key-at-all")]), json!({})).await.err().unwrap();
        let failure = failure(failed);
        assert!(failure.message.starts_with("HTTP agent shop: "), "{failure}");
        assert!(failure.message.contains(words) && !failure.message.contains("no-key"), "{failure}");
    }
}
