//! The agent of every tenant, over HTTP/2: it knows the run that asks and plays its part, sends spans of its own, and puts
//! headers about traces into its answers that nobody may believe.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use scenario_worker::telemetry::receiver::PROTOBUF;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::cast::{Kind, words_of};
use crate::support::tls::{BY_ADDRESS, TlsListener};

/// On the agent's spans: for which run they were made.
pub(super) const RUN: &str = "agent.run";
/// How many spans the agent makes for every answer, where it makes any.
pub(super) const SPANS: u8 = 2;
/// Headers of answers of which nothing may come: a trace of somebody else, and baggage.
pub(super) const FORGED: &str = "badbadbadbadbadbadbadbadbadbadba";

/// A question as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) project: String,
    pub(super) run: String,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

struct Desk {
    asked: Mutex<Vec<Asked>>,
    /// Told of every run whose agent is asked and does not answer.
    waits: mpsc::UnboundedSender<Asked>,
    /// Opens when orphans have found another worker.
    doors: watch::Sender<bool>,
    /// Where spans are taken; a worker takes those of runs of another.
    spans_to: watch::Sender<String>,
    client: reqwest::Client,
}

/// The agent. It ends when it is dropped.
pub(super) struct Agent {
    url: String,
    desk: Arc<Desk>,
    _serving: AbortOnDropHandle<()>,
}

impl Agent {
    /// The agent, and who waits for an answer that does not come by itself.
    pub(super) async fn start() -> (Self, mpsc::UnboundedReceiver<Asked>) {
        let listener = TlsListener::bind(BY_ADDRESS).await;
        let url = format!("https://{}", listener.address());
        let (waits, waiting) = mpsc::unbounded_channel();
        let client = scenario_worker::http_client::builder().build().unwrap();
        let (doors, spans_to) = (watch::Sender::new(false), watch::Sender::default());
        let desk = Arc::new(Desk { asked: Mutex::default(), waits, doors, spans_to, client });
        let router = Router::new().route("/{project}", post(answer)).with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Self { url, desk, _serving: AbortOnDropHandle::new(serving) }, waiting)
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// Its own spans go there from now on.
    pub(super) fn sends_to(&self, receiver: String) {
        self.desk.spans_to.send_replace(receiver);
    }

    /// Answers orphans from now on.
    pub(super) fn open_doors(&self) {
        self.desk.doors.send_replace(true);
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    Path(project): Path<String>,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].as_str().unwrap().to_owned();
    let asked = Asked { project, run, version, headers, body };
    desk.asked.lock().unwrap().push(asked.clone());
    match Kind::of(&asked.run) {
        Kind::Breaks => {
            return forged(StatusCode::INTERNAL_SERVER_ERROR, format!("no {}", words_of(&asked.run)));
        }
        Kind::Cancelled | Kind::Late => {
            desk.waits.send(asked).unwrap();
            return std::future::pending().await;
        }
        Kind::Orphaned => {
            desk.waits.send(asked.clone()).unwrap();
            desk.doors.subscribe().wait_for(|open| *open).await.unwrap();
            send_spans(&desk, &asked).await;
        }
        Kind::Traced | Kind::Fails => send_spans(&desk, &asked).await,
        Kind::Passes | Kind::Refused | Kind::Prompted => {}
    }
    let reply = format!("I am sorry, I refund you. {}", words_of(&asked.run));
    forged(StatusCode::OK, json!({ "reply": reply }).to_string())
}

/// An answer with headers that claim to be about its trace.
fn forged(status: StatusCode, body: String) -> Response {
    let forged = [
        ("traceparent", format!("00-{FORGED}-badbadbadbadbadb-01")),
        ("tracestate", format!("forged={FORGED}")),
        ("baggage", format!("forged={FORGED}")),
        ("b3", format!("{FORGED}-badbadbadbadbadb-1")),
        ("content-type", "application/json".to_owned()),
    ];
    let mut response = (status, body).into_response();
    for (name, value) in forged {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A worker that is killed takes nothing, which is its run's loss.
async fn send_spans(desk: &Desk, asked: &Asked) {
    let url = format!("{}/v1/traces", *desk.spans_to.borrow());
    let request = desk.client.post(url).header("content-type", PROTOBUF);
    drop(request.body(export(asked).encode_to_vec()).send().await);
}

/// One span below the call, and one below that.
fn export(asked: &Asked) -> ExportTraceServiceRequest {
    let parent = asked.headers["traceparent"].to_str().unwrap();
    let [_, trace, parent, _] = parent.split('-').collect::<Vec<_>>()[..] else { panic!("{parent}") };
    let ids: Vec<Vec<u8>> = (0..SPANS).map(|_| uuid::Uuid::new_v4().as_bytes()[..8].to_vec()).collect();
    let parents = [hex::decode(parent).unwrap()].into_iter().chain(ids.clone());
    let spans = ids.iter().zip(parents).map(|(id, parent)| Span {
        trace_id: hex::decode(trace).unwrap(),
        span_id: id.clone(),
        parent_span_id: parent,
        name: format!("work for {}", words_of(&asked.run)),
        attributes: vec![text(RUN, &asked.run)],
        ..Span::default()
    });
    let scope =
        InstrumentationScope { name: "agent-instrumentation".into(), ..InstrumentationScope::default() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans: spans.collect(), ..ScopeSpans::default() };
    let attributes = vec![text("service.name", &format!("agent-of-{}", asked.project))];
    let resource = Resource { attributes, ..Resource::default() };
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Wire::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
