//! What goes wrong with HTTP agents, and how it is told.

use std::net::SocketAddr;

use scenario_worker::events::Attribution;
use scenario_worker::execution::failure::RunFailure;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::stage::{LINE, ask, ask_with, dialogue, secrets};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::tls::self_signed_server;

const SHOWN_BODY: usize = 2048;

async fn failure_of(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (RunFailure, String) {
    let (failure, place) = failure_and_place(answer).await;
    assert_eq!(failure.attributed_to, Attribution::Target);
    (failure, place)
}

async fn failure_and_place(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (RunFailure, String) {
    let agent = HttpAgent::start(move |_| answer()).await;
    let url = format!("{}/chat?key=1", agent.url());
    let failure = ask(json!({ "url": url, "timeoutSeconds": 10 })).await.unwrap_err();
    (failure, format!("{}/chat", agent.url()))
}

#[tokio::test]
async fn a_status_is_told_word_for_word() {
    for (header, id) in [
        (Some("x-request-id"), "r-1"),
        (Some("X-Amzn-RequestId"), "r-1"),
        (Some("x-n8n-execution-id"), "r-1"),
        (None, "none"),
    ] {
        let (failure, place) = failure_of(move || Answer::Reply {
            status: 503,
            headers: header.map(|header| (header, "r-1".to_owned())).into_iter().collect(),
            body: b"down for <b>maintenance</b>".to_vec(),
        })
        .await;
        let expected = format!(
            "HTTP 503 Service Unavailable from {place} (request-id: {id}): down for <b>maintenance</b>"
        );
        assert_eq!((failure.code.as_ref(), failure.message), ("http_status", expected));
    }
}

#[tokio::test]
async fn the_first_request_id_is_the_usual_one() {
    let headers = || {
        vec![
            ("x-n8n-execution-id", "c".into()),
            ("x-amzn-requestid", "b".into()),
            ("x-request-id", "a".into()),
        ]
    };
    let (failure, _) =
        failure_of(move || Answer::Reply { status: 400, headers: headers(), body: vec![] }).await;
    assert!(failure.message.contains("(request-id: a): "), "{failure}");
}

#[tokio::test]
async fn a_long_error_body_is_cut_at_a_character_boundary() {
    let (failure, _) = failure_of(|| Answer::status(500, format!("x{}", "é".repeat(2000)))).await;
    let body = failure.message.split_once("none): ").unwrap().1;
    let shown = body.strip_suffix("… [truncated]").unwrap();
    assert_eq!(shown, format!("x{}", "é".repeat((SHOWN_BODY - 1) / 2)));
    let (failure, _) = failure_of(|| Answer::status(500, "y".repeat(SHOWN_BODY))).await;
    assert!(failure.message.ends_with(&format!("none): {}", "y".repeat(SHOWN_BODY))), "{failure}");
}

#[tokio::test]
async fn a_redirect_to_where_nobody_may_go_is_the_definition_s_fault() {
    let (failure, place) = failure_and_place(|| Answer::Reply {
        status: 307,
        headers: vec![("location", "http://169.254.169.254/latest/meta-data/".to_owned())],
        body: vec![],
    })
    .await;
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("egress_refused", Attribution::Definition));
    let hop = format!("http://169.254.169.254/latest/meta-data/ (redirected from {place})");
    assert!(failure.message.starts_with(&format!("{hop} may not be called: ")), "{failure}");
}

#[tokio::test]
async fn a_port_where_no_tls_is_spoken_is_told_with_what_may_be_meant() {
    for plain in [Answer::Raw(vec![]), Answer::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("https://{}/chat", listener.local_addr().unwrap());
        let Answer::Raw(bytes) = plain else { unreachable!() };
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            drop(tokio::io::AsyncReadExt::read(&mut stream, &mut hello).await);
            drop(stream.write_all(&bytes).await);
        });
        let failure = ask(json!({ "url": place, "timeoutSeconds": 10 })).await.unwrap_err();
        let expected = format!("{place} could not be reached: the TLS connection failed: ");
        assert!(failure.message.starts_with(&expected), "{failure}");
        assert!(failure.hint.unwrap().contains("a URL that begins with http://"));
    }
}

#[tokio::test]
async fn what_fails_behind_a_redirect_is_named_with_who_leads_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let silent = HttpAgent::start(|_| Answer::Hang).await;
    let distrusted = format!("https://{}", self_signed_server());
    for (hop, words) in [
        (closed, "could not be reached: "),
        (distrusted, "could not be reached: the TLS connection failed"),
        ("http://no-such-host.invalid".to_owned(), "could not be reached: the host name"),
        (silent.url().to_owned(), "did not begin to answer within 1 seconds"),
    ] {
        let to = format!("{hop}/there?key=2");
        let agent = HttpAgent::start(move |_| Answer::Reply {
            status: 307,
            headers: vec![("location", to.clone())],
            body: vec![],
        })
        .await;
        let url = format!("{}/chat?key=1", agent.url());
        let config = json!({ "url": url, "timeoutSeconds": 20, "firstByteTimeoutSeconds": 1 });
        let failure = ask(config).await.unwrap_err();
        let place = format!("{hop}/there (redirected from {}/chat) {words}", agent.url());
        assert!(failure.message.starts_with(&place), "{failure}");
    }
}

#[tokio::test]
async fn a_redirect_without_a_place_to_go_to_is_an_answer_that_failed() {
    let (failure, place) = failure_of(|| Answer::Reply { status: 307, headers: vec![], body: vec![] }).await;
    assert_eq!(failure.message, format!("HTTP 307 Temporary Redirect from {place} (request-id: none): "));
}

#[tokio::test]
async fn a_reply_without_end_is_not_taken_in() {
    let (failure, place) = failure_of(|| Answer::Endless { status: 200 }).await;
    assert_eq!(failure.code, "http_response_too_large");
    assert_eq!(
        failure.message,
        format!("the reply of {place} is larger than the 4194304 bytes that are read")
    );
    let (failure, _) = failure_of(|| Answer::Endless { status: 500 }).await;
    assert!(failure.message.ends_with(&format!("{}… [truncated]", "x".repeat(SHOWN_BODY))), "{failure}");
    let (failure, _) = failure_of(|| Answer::typed("text/plain", vec![b'x'; 10 * 1024 * 1024])).await;
    assert_eq!(failure.code, "http_response_too_large");
}

#[tokio::test]
async fn an_agent_that_hangs_costs_its_timeout_and_no_more() {
    let agent = HttpAgent::start(|_| Answer::Hang).await;
    let failure = ask(json!({ "url": agent.url(), "timeoutSeconds": 1 })).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("http_timeout", Attribution::Target));
    assert_eq!(failure.message, format!("{}/ did not answer within 1 seconds", agent.url()));
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let (failure, place) = failure_of(move || Answer::Raw(half.clone())).await;
    assert_eq!(failure.code, "http_invalid_response");
    assert!(
        failure.message.starts_with(&format!("{place} ended the connection before its reply was complete")),
        "{failure}"
    );
    let (failure, _) = failure_of(|| Answer::Raw(Vec::new())).await;
    assert_eq!(failure.code, "http_invalid_response");
}

/// A server that greets in plain text whoever connects.
async fn no_tls() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"220 hello, who are you?\r\n").await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_agent_that_cannot_be_reached_is_named_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let plain = no_tls().await;
    for (url, reason) in [
        (format!("http://{address}/chat"), "refused"),
        ("http://agent.invalid/chat".to_owned(), "the host name could not be resolved"),
        (format!("https://{plain}/chat"), "the TLS connection failed"),
    ] {
        let failure =
            ask(json!({ "url": format!("{url}?key=hidden"), "timeoutSeconds": 20 })).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.attributed_to), ("http_unreachable", Attribution::Target));
        assert!(failure.message.starts_with(&format!("{url} could not be reached: ")), "{failure}");
        assert!(failure.message.contains(reason) && !failure.message.contains("hidden"), "{failure}");
    }
}

#[tokio::test]
async fn an_agent_whose_certificate_is_not_trusted_is_told_as_such() {
    let url = format!("https://{}/chat", self_signed_server());
    let failure = ask(json!({ "url": url, "timeoutSeconds": 20 })).await.unwrap_err();
    let error = failure.to_error();
    assert_eq!((&*error.code, error.attributed_to), ("untrusted_certificate", Attribution::Target));
    assert!(
        error.message.starts_with(&format!("{url} could not be reached: the TLS connection failed")),
        "{failure}"
    );
    assert!(error.hint.unwrap().contains("trusts"));
}

#[tokio::test]
async fn a_tunnel_that_leads_nowhere_is_told_as_such_and_its_words_stay() {
    let (failure, place) = failure_of(|| Answer::status(530, "error code: 1033".to_owned())).await;
    let error = failure.to_error();
    assert_eq!(error.code, "agent_dev_tunnel_unreachable");
    assert_eq!(error.message, format!("HTTP 530 Unknown from {place} (request-id: none): error code: 1033"));
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    let echo = |request: &crate::support::http_agent::AgentRequest| {
        let seen = format!(
            "{} {:?} {}",
            request.target,
            request.header("authorization"),
            request.header("x-key").unwrap()
        );
        Answer::status(401, format!("{seen} {}", "x".repeat(3000)))
    };
    let agent = HttpAgent::start(echo).await;
    let config = |auth| {
        json!({
            "url": format!("{}/{{{{ secrets.PATH }}}}/chat", agent.url()),
            "headers": [{ "key": "X-Key", "value": "{{ secrets.LONG }}" }],
            "auth": auth,
        })
    };
    let known = [("PATH", "p/a th"), ("LONG", "token-and-more"), ("SHORT", "token")];
    for auth in [
        json!({ "type": "bearer", "token": "literal-token-9" }),
        json!({ "type": "basic", "username": "u", "password": "{{ secrets.SHORT }}" }),
    ] {
        let failure = ask_with(config(auth), secrets(known), json!({}), &dialogue(LINE)).await.unwrap_err();
        assert_eq!(failure.code, "http_status");
        assert!(failure.message.contains("[redacted]"), "{failure}");
        for hidden in ["p/a", "a%20th", "token", "and-more", "literal", "dTp0b2tlbg"] {
            assert!(!failure.message.contains(hidden), "{hidden} is in {failure}");
        }
    }
}

#[tokio::test]
async fn a_secret_at_the_cut_of_an_error_body_does_not_leave_its_beginning() {
    let secret = "S".repeat(20) + "ecret";
    let body = format!("{}{secret} and more", "x".repeat(SHOWN_BODY - 10));
    let agent = HttpAgent::start(move |_| Answer::status(500, body.clone())).await;
    let failure =
        ask_with(json!({ "url": agent.url() }), secrets([("KEY", &secret)]), json!({}), &dialogue(LINE))
            .await;
    let message = failure.unwrap_err().message;
    assert!(!message.contains("SS") && message.ends_with("[redacted]… [truncated]"), "{message}");
}
