//! Failures of providers, as people read them.

use scenario_worker::events::Attribution;
use scenario_worker::execution::failure::RunFailure;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::{KEY, chat, question, remote};
use crate::support::openai::{Answer, ModelServer};
use crate::support::tls::self_signed_server;

/// The failure of one answer that is not tried again.
async fn failure_of(answer: Answer) -> (RunFailure, ModelServer) {
    let server = ModelServer::answering([answer]).await;
    let failure = chat(remote("openai", &server.base_url()), &question()).await.unwrap_err();
    assert_eq!(failure.code, "model_provider_error");
    assert_eq!(failure.attributed_to, Attribution::ModelProvider);
    assert!(failure.message.contains(&server.origin()), "{failure}");
    (failure, server)
}

fn refusal(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "message": words } }))
}

#[tokio::test]
async fn a_refused_key_is_named_by_its_provider_and_never_shown() {
    for status in [401, 403] {
        let words = format!("Incorrect key {KEY}, Bearer {KEY}");
        let (failure, _server) = failure_of(refusal(status, &words)).await;
        assert!(failure.message.contains("Incorrect key [redacted], Bearer [redacted]"), "{failure}");
        assert!(!format!("{failure:?}").contains(KEY), "{failure:?}");
        assert_eq!(failure.hint.unwrap(), "Check the API key of provider 'p'.");
    }
}

#[tokio::test]
async fn an_unknown_model_gets_a_hint() {
    let (failure, _server) = failure_of(refusal(404, "no such model")).await;
    assert!(failure.message.ends_with("HTTP 404 Not Found: no such model"), "{failure}");
    assert_eq!(failure.hint.unwrap(), "Check the model's name 'm' and the baseUrl of provider 'p'.");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = ModelServer::playing().await;
    let answer = Answer::text(307, "text/plain", "").with_header("location", &elsewhere.base_url());
    let (failure, _server) = failure_of(answer).await;
    assert!(failure.message.ends_with("HTTP 307 Temporary Redirect: it said nothing"), "{failure}");
    assert!(elsewhere.received().is_empty(), "the key must not travel");
}

#[tokio::test]
async fn long_words_of_a_provider_are_cut_at_a_characters_boundary() {
    let (failure, _server) = failure_of(Answer::text(400, "text/plain", &"é".repeat(100_000))).await;
    let (_, words) = failure.message.split_once("HTTP 400 Bad Request: ").unwrap();
    assert_eq!(words, format!("{}… [truncated]", "é".repeat(1024)));
}

#[tokio::test]
async fn an_html_page_is_not_repeated() {
    let page = "<!DOCTYPE html><html><body>Sign in</body></html>";
    for answer in [Answer::text(403, "text/html; charset=utf-8", page), Answer::text(200, "text/plain", page)]
    {
        let (failure, _server) = failure_of(answer).await;
        assert!(failure.message.contains("an HTML page came back"), "{failure}");
        assert!(!failure.message.contains("Sign in"), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_the_api_answers_says_so() {
    let cases: [(Answer, &str); 4] = [
        (Answer::text(200, "application/json", "{\"choices\": ["), "the answer is not JSON: EOF"),
        (Answer::json(200, &json!({ "choices": "many" })), "the answer has another shape than expected"),
        (Answer::json(200, &json!({ "choices": [] })), "the answer has no choices"),
        (refusal(200, "overloaded"), "the answer is an error: overloaded"),
    ];
    for (answer, words) in cases {
        let (failure, server) = failure_of(answer).await;
        assert!(failure.message.contains(&format!("after 1 try: {words}")), "{failure}");
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_up_to_a_bound() {
    let (failure, server) = failure_of(Answer::Endless).await;
    assert!(failure.message.ends_with("the answer is larger than 8388608 bytes"), "{failure}");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up() {
    let server = ModelServer::start(|_| Answer::Hang).await;
    let mut definition = remote("openai", &server.base_url());
    definition["timeoutSeconds"] = json!(1);
    let failure = chat(definition, &question()).await.unwrap_err();
    assert!(
        failure.message.ends_with("failed for model 'm' after 3 tries: no answer within 1 seconds"),
        "{failure}"
    );
    assert!(failure.hint.unwrap().contains("timeoutSeconds"));
}

#[tokio::test]
async fn a_server_that_does_not_run_is_named_with_its_port() {
    // Bound but not listening: nobody else gets the port, and connections are refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let definition = remote("openai", &format!("http://{address}/v1?token={KEY}"));
    let failure = chat(definition, &question()).await.unwrap_err();
    assert!(failure.message.contains(&format!("at http://{address} failed")), "{failure}");
    assert!(failure.message.contains("no connection: Connection refused"), "{failure}");
    assert!(failure.hint.as_ref().unwrap().starts_with(&format!("Is the server running at {address}?")));
    assert!(!format!("{failure:?}").contains(KEY), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_apart_from_one_that_does_not_run() {
    let definition = remote("openai", &format!("https://{}/v1", self_signed_server()));
    let failure = chat(definition, &question()).await.unwrap_err();
    let error = failure.to_error();
    assert_eq!((&*error.code, error.attributed_to), ("untrusted_certificate", Attribution::ModelProvider));
    assert!(error.message.starts_with("Provider 'p' at https://127.0.0.1:"), "{failure}");
    assert!(error.hint.unwrap().contains("trusts"));
}

#[tokio::test]
async fn the_words_of_the_other_providers_are_found_too() {
    let cases: [(&str, Value); 2] = [
        (
            "anthropic",
            json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "too hot" } }),
        ),
        ("gemini", json!({ "error": { "code": 400, "message": "too hot", "status": "INVALID_ARGUMENT" } })),
    ];
    for (kind, body) in cases {
        let server = ModelServer::answering([Answer::json(400, &body)]).await;
        let failure = chat(remote(kind, &server.origin()), &question()).await.unwrap_err();
        assert!(failure.message.ends_with("HTTP 400 Bad Request: too hot"), "{failure}");
    }
}
