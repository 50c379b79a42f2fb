//! Models that take tools only without reasoning.

use scenario_worker::definitions::Sampling;
use scenario_worker::execution::types::ChatRequest;
use serde_json::{Value, json};

use super::{chat, forced, model, question, remote};
use crate::support::openai::{Answer, ModelServer};

const MESSAGE: &str = "Function tools with reasoning_effort are not supported for m in /v1/chat/completions. \
    Please use another endpoint or set reasoning_effort to 'none'.";

fn refusal() -> Answer {
    refused(400, &json!({ "message": MESSAGE, "param": "reasoning_effort" }))
}

fn refused(status: u16, error: &Value) -> Answer {
    Answer::json(status, &json!({ "error": error }))
}

fn picked() -> Answer {
    Answer::calls("pick", &json!({ "n": 3 }))
}

/// The reasoning that each request asked for.
fn efforts(server: &ModelServer) -> Vec<Value> {
    server.received().iter().map(|request| request.body["reasoning_effort"].clone()).collect()
}

#[tokio::test]
async fn a_call_that_is_refused_for_its_reasoning_is_made_again_without() {
    let server = ModelServer::answering([refusal(), picked()]).await;
    let reply = chat(remote("openai", &server.base_url()), &forced()).await.unwrap();
    assert_eq!(reply.tool_calls[0].arguments, json!({ "n": 3 }));
    let [mut first, second] = server.received().try_into().unwrap();
    first.body["reasoning_effort"] = json!("none");
    assert_eq!(first.body, second.body, "nothing else is changed");
}

#[tokio::test]
async fn a_model_that_took_it_is_not_asked_with_reasoning_again() {
    let server = ModelServer::answering([refusal(), picked(), picked(), Answer::says("hi"), picked()]).await;
    let model = model(remote("openai", &server.base_url()), "p/m").await;
    model.chat(&forced()).await.unwrap();
    model.chat(&forced()).await.unwrap();
    model.chat(&question()).await.unwrap();
    model.chat(&pinned("low")).await.unwrap();
    let none = json!("none");
    assert_eq!(efforts(&server), [Value::Null, none.clone(), none, Value::Null, json!("low")]);
}

#[tokio::test]
async fn a_second_refusal_is_returned_as_it_is_and_nothing_is_remembered() {
    let again = refused(400, &json!({ "message": "still no: reasoning_effort 'none'" }));
    let server = ModelServer::answering([refusal(), again, picked()]).await;
    let model = model(remote("openai", &server.base_url()), "p/m").await;
    let failure = model.chat(&forced()).await.unwrap_err();
    assert!(
        failure.message.ends_with("after 2 tries: HTTP 400 Bad Request: still no: reasoning_effort 'none'")
    );
    model.chat(&forced()).await.unwrap();
    assert_eq!(efforts(&server), [Value::Null, json!("none"), Value::Null]);
}

fn pinned(effort: &str) -> ChatRequest {
    let sampling = Sampling { reasoning_effort: Some(effort.to_owned()), ..Sampling::default() };
    ChatRequest { sampling, ..forced() }
}

#[tokio::test]
async fn any_other_call_is_not_made_again() {
    let param = "reasoning_effort";
    let about_it = || json!({ "message": MESSAGE, "param": param });
    let cases = [
        ("no tools", question(), refusal()),
        ("a pinned effort", pinned("low"), refusal()),
        ("a pinned none", pinned("none"), refusal()),
        ("another status", forced(), refused(422, &about_it())),
        ("another parameter", forced(), refused(400, &json!({ "message": "Use 'none'.", "param": "tools" }))),
        ("no remedy", forced(), refused(400, &json!({ "message": "is not supported", "param": param }))),
        ("no quotes", forced(), refused(400, &json!({ "message": "must be none", "param": param }))),
        ("no JSON", forced(), Answer::text(400, "text/plain", MESSAGE)),
        ("an error in a good answer", forced(), refused(200, &about_it())),
    ];
    for (case, request, answer) in cases {
        let server = ModelServer::answering([answer, picked()]).await;
        chat(remote("openai", &server.base_url()), &request).await.unwrap_err();
        assert_eq!(server.received().len(), 1, "{case}");
    }
    for kind in ["anthropic", "gemini"] {
        let server = ModelServer::answering([refusal(), picked()]).await;
        chat(remote(kind, &server.base_url()), &forced()).await.unwrap_err();
        assert_eq!(server.received().len(), 1, "{kind} has no such parameter");
    }
}
