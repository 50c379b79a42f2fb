//! An OTLP/HTTP endpoint on a real socket that can misbehave in every way that matters.
#![expect(clippy::unwrap_used, reason = "a double that cannot work must fail its test")]

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode, Version, header};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use scenario_worker::telemetry::receiver::{PROTOBUF, ReceivedSpan, accepted, decode, router};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::tls::{BY_ADDRESS, TlsListener};

/// How the endpoint behaves.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// Takes every span.
    Ok,
    /// Refuses with a status and repeats the credentials that it was sent.
    Refuse(u16),
    /// Refuses this many times with a status and perhaps a `Retry-After`, then takes the spans.
    RefuseAtFirst { times: usize, status: u16, retry_after: Option<u64> },
    /// Takes the request but not this many spans, and says so in protobuf.
    PartialProtobuf(i64),
    /// The same in JSON.
    PartialJson(u64),
    /// Is a web site.
    Html,
    /// Takes every span after a while.
    Slow(Duration),
    /// Takes the spans, and breaks off in the middle of its answer.
    HalfAnswer,
    /// Finds requests of more bytes than this too large, once they are unpacked.
    AtMost(usize),
    /// Never answers.
    Hang,
    /// Cuts every connection.
    Reset,
}

/// One request, whatever became of it.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) path: String,
    /// Of HTTP.
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// As it travelled.
    pub(crate) body: Bytes,
}

impl Attempt {
    /// Bytes of its body, unpacked.
    pub(crate) fn unpacked_len(&self) -> usize {
        unpacked(&self.body).len()
    }

    /// Its body, unpacked if it was packed.
    pub(crate) fn content(&self) -> Vec<u8> {
        if self.headers.contains_key(header::CONTENT_ENCODING) {
            unpacked(&self.body)
        } else {
            self.body.to_vec()
        }
    }

    /// Its spans; none if it is about something else.
    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        if self.path.ends_with("/v1/traces") {
            decode(&self.headers, &self.body).unwrap()
        } else {
            Vec::new()
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Debug, Default)]
struct Log {
    attempts: Vec<Attempt>,
    taken: Vec<ReceivedSpan>,
}

/// The endpoint. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct OtlpReceiver {
    endpoint: String,
    log: Arc<Mutex<Log>>,
    mode: Arc<Mutex<Mode>>,
    server: JoinHandle<()>,
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = (Arc<Mutex<Log>>, Arc<Mutex<Mode>>);

impl OtlpReceiver {
    pub(crate) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Mutex<Log>>::default();
        let reset = matches!(mode, Mode::Reset);
        let mode = Arc::new(Mutex::new(mode));
        let server = if reset {
            tokio::spawn(cut_connections(listener))
        } else {
            let app = app(Arc::clone(&log), Arc::clone(&mode));
            tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
        };
        Self { endpoint: format!("http://{address}"), log, mode, server }
    }

    /// An endpoint that speaks TLS, with a certificate of the authority that only tests know, and HTTP/2 with whoever can.
    pub(crate) async fn over_tls(mode: Mode) -> Self {
        let listener = TlsListener::bind(BY_ADDRESS).await;
        let endpoint = format!("https://{}", listener.address());
        let (log, mode) = (Arc::<Mutex<Log>>::default(), Arc::new(Mutex::new(mode)));
        let app = app(Arc::clone(&log), Arc::clone(&mode));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, log, mode, server }
    }

    /// The base URL.
    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Behaves differently from now on.
    pub(crate) fn become_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Every request so far.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.log.lock().unwrap().attempts.clone()
    }

    /// The spans of requests that were answered as success.
    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        self.log.lock().unwrap().taken.clone()
    }
}

fn app(log: Arc<Mutex<Log>>, mode: Arc<Mutex<Mode>>) -> Router {
    let sink = Arc::clone(&log);
    router(move |export| sink.lock().unwrap().taken.extend(export.spans))
        .fallback(async || accepted())
        .layer(from_fn_with_state((log, mode), misbehave))
}

async fn misbehave(State((log, mode)): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Whoever sends may be killed in the middle.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (path, version, headers) = (parts.uri.path().to_owned(), parts.version, parts.headers.clone());
    let authorization = headers.get(header::AUTHORIZATION).cloned();
    log.lock().unwrap().attempts.push(Attempt { path, version, headers, body: body.clone() });
    let mode = behaviour(&mut mode.lock().unwrap());
    let refusal = |status: u16| {
        let body = format!("no entry with {authorization:?}");
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    };
    match mode {
        Mode::AtMost(bytes) if unpacked(&body).len() > bytes => refusal(413),
        Mode::Ok | Mode::Reset | Mode::AtMost(_) => {
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
        Mode::Refuse(status) => refusal(status),
        Mode::RefuseAtFirst { status, retry_after, .. } => {
            let mut response = refusal(status);
            let asked = retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into()));
            response.headers_mut().extend(asked);
            response
        }
        Mode::PartialProtobuf(rejected) => partial_protobuf(rejected),
        Mode::PartialJson(rejected) => {
            let partial = serde_json::json!({ "rejectedSpans": rejected, "errorMessage": "bad spans" });
            axum::Json(serde_json::json!({ "partialSuccess": partial })).into_response()
        }
        Mode::Html => ([(header::CONTENT_TYPE, "text/html")], "<html>welcome</html>").into_response(),
        Mode::Slow(takes) => {
            tokio::time::sleep(takes).await;
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
        Mode::HalfAnswer => half_answer(),
        Mode::Hang => std::future::pending().await,
    }
}

fn half_answer() -> Response {
    let pieces = [Ok(Bytes::from_static(b"{\"partial")), Err(std::io::Error::other("broken off"))];
    let body = Body::from_stream(futures::stream::iter(pieces));
    ([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "100")], body).into_response()
}

fn unpacked(body: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(body).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// What to do with this request, and one refusal less for the next.
fn behaviour(mode: &mut Mode) -> Mode {
    let now = mode.clone();
    if let Mode::RefuseAtFirst { times, .. } = mode {
        if *times == 0 {
            return Mode::Ok;
        }
        *times -= 1;
    }
    now
}

fn partial_protobuf(rejected_spans: i64) -> Response {
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: "bad spans".to_owned() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
}

/// Reads a little, so that closing with unread bytes resets the connection.
async fn cut_connections(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        stream.read_exact(&mut [0; 16]).await.unwrap();
        socket_reset(stream);
    }
}

fn socket_reset(stream: tokio::net::TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Long enough for any delivery to a server on this machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
