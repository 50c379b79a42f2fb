//! A double of an OpenAI-compatible server on a real socket. Its paths are free, so it also stands in for other APIs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use scenario_worker::execution::types::DECIDE_TOOL;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::judge::evidence_in;

/// What the default player says when no tool is offered.
pub(crate) const LINE: &str = "Hello, my mug arrived broken.";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Received {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// How the server answers one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A whole answer.
    Whole { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// A body without an end.
    Endless,
    /// Nothing, for ever.
    Hang,
    /// The beginning of a body, then the connection closes.
    CloseEarly,
    /// Server-sent events, and what becomes of the connection then.
    Events { text: String, then: Then },
}

/// What becomes of a connection behind its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The answer ends.
    Ends,
    /// The connection breaks.
    Breaks,
    /// Nothing more comes.
    Falls,
    /// Signs of life come, without an end.
    Goes,
}

impl Answer {
    /// JSON with a status.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    /// A body of any type.
    pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self::Whole { status, headers, body: body.as_bytes().to_vec() }
    }

    /// The same answer with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Whole { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    /// A model that says `text`.
    pub(crate) fn says(text: &str) -> Self {
        Self::json(200, &completion(&json!({ "role": "assistant", "content": text }), "stop"))
    }

    /// A model that calls `tool`, with the arguments as the API sends them: a text of JSON.
    pub(crate) fn calls(tool: &str, arguments: &Value) -> Self {
        let function = json!({ "name": tool, "arguments": arguments.to_string() });
        let call = json!({ "id": "call_1", "type": "function", "function": function });
        let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
        Self::json(200, &completion(&message, "tool_calls"))
    }

    /// Server-sent events with these data, in pieces of a few bytes, then the end.
    pub(crate) fn events<T: ToString>(events: impl IntoIterator<Item = T>) -> Self {
        let events: Vec<String> =
            events.into_iter().map(|data| format!("data: {}\n\n", data.to_string())).collect();
        Self::Events { text: events.concat(), then: Then::Ends }
    }

    /// The same events, and another end.
    pub(crate) fn and_then(self, then: Then) -> Self {
        let Self::Events { text, .. } = self else { panic!("these are no events") };
        Self::Events { text, then }
    }

    fn into_response(self) -> Response {
        match self {
            Self::Whole { status, headers, body } => {
                let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(body)).unwrap()
            }
            Self::Endless => {
                let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
                Response::new(Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk))))
            }
            Self::CloseEarly => {
                let chunks = [Ok(Bytes::from_static(b"{\"choices\":")), Err(std::io::Error::other("closed"))];
                Response::builder()
                    .header("content-length", "4096")
                    .body(Body::from_stream(stream::iter(chunks)))
                    .unwrap()
            }
            Self::Events { text, then } => events(&text, then),
            Self::Hang => unreachable!("hanging is not a response"),
        }
    }
}

/// Events are torn apart in the middle of lines, as networks do.
fn events(text: &str, then: Then) -> Response {
    const PIECE: usize = 7;
    let pieces: Vec<_> =
        text.as_bytes().chunks(PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let broken = || Err(std::io::Error::other("broken"));
    let sign = Bytes::from(format!(":{}\n\n", "x".repeat(64 * 1024)));
    let pieces = stream::iter(pieces);
    let body = match then {
        Then::Ends => Body::from_stream(pieces),
        Then::Breaks => Body::from_stream(pieces.chain(stream::once(async move { broken() }))),
        Then::Falls => Body::from_stream(pieces.chain(stream::pending())),
        Then::Goes => Body::from_stream(pieces.chain(stream::repeat_with(move || Ok(sign.clone())))),
    };
    Response::builder().header("content-type", "text/event-stream; charset=utf-8").body(body).unwrap()
}

type Play = dyn Fn(&Received) -> Answer + Send + Sync;

struct Stage {
    play: Box<Play>,
    received: Mutex<Vec<Received>>,
}

/// The server. It ends when it is dropped.
pub(crate) struct ModelServer {
    address: SocketAddr,
    stage: Arc<Stage>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Answers every request by `play`.
    pub(crate) async fn start(play: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let stage = Arc::new(Stage { play: Box::new(play), received: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router =
            Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&stage));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, stage, task }
    }

    /// Gives these answers in turn, then an error that says that they are used up.
    pub(crate) async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Mutex<VecDeque<Answer>> = Mutex::new(answers.into_iter().collect());
        let used_up = Answer::text(501, "text/plain", "the double has no answer left");
        let next = move || answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        Self::start(move |_| next().unwrap_or_else(|| used_up.clone())).await
    }

    /// Plays a customer or an agent with [`LINE`], and a judge who is content at once.
    pub(crate) async fn playing() -> Self {
        Self::start(|request| play(&request.body)).await
    }

    /// The base URL that a provider's definition names.
    pub(crate) fn base_url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.stage.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one request that arrived.
    pub(crate) fn only_request(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "one request is expected: {received:?}");
        received.remove(0)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(stage): State<Arc<Stage>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let received = Received { path: uri.to_string(), headers, body };
    stage.received.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
    match (stage.play)(&received) {
        Answer::Hang => std::future::pending().await,
        answer => answer.into_response(),
    }
}

fn completion(message: &Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-1",
        "model": "double-1",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 },
    })
}

/// A customer or an agent with [`LINE`], and a judge who is content at once.
pub(crate) fn play(request: &Value) -> Answer {
    let function = &request["tools"][0]["function"];
    match function["name"].as_str() {
        None => Answer::says(LINE),
        Some(name @ DECIDE_TOOL) => {
            Answer::calls(name, &json!({ "reasoning": "It is all there.", "decision": "verdict" }))
        }
        Some(name) => {
            let transcript = request["messages"][1]["content"].as_str().unwrap_or_default();
            Answer::calls(name, &content_with_everything(&function["parameters"], transcript))
        }
    }
}

/// A verdict that finds every criterion of the tool's schema met.
fn content_with_everything(schema: &Value, transcript: &str) -> Value {
    let asked = schema["properties"]["criteria"]["properties"].as_object().cloned().unwrap_or_default();
    let evidence = evidence_in(transcript);
    let met = json!({ "requirement": "as asked", "evidence": evidence, "reasoning": "The agent did so.", "status": "met" });
    let criteria: Map<String, Value> = asked.into_iter().map(|(id, _)| (id, met.clone())).collect();
    json!({ "criteria": criteria, "reasoning": "All is well." })
}
