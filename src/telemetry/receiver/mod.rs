//! The other end of the wire: a small OTLP/HTTP receiver for the demo and for tests.

mod decode;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

pub use decode::{DecodeError, decode};
pub(in crate::telemetry) use view::plain_value;
pub use view::{Attributes, ReceivedEvent, ReceivedLink, ReceivedSpan};

/// The media type of OTLP's binary form.
pub const PROTOBUF: &str = "application/x-protobuf";
/// The most bytes of a body, before and after it is unpacked: 10 MiB, as LangWatch has it.
pub const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// Paths that spans are taken on: the general one and LangWatch's.
const PATHS: [&str; 2] = ["/v1/traces", "/api/otel/v1/traces"];

/// One accepted export request.
#[derive(Debug, Clone)]
pub struct ReceivedExport {
    /// The path that it was posted to.
    pub path: String,
    /// Its headers, credentials included.
    pub headers: HeaderMap,
    /// Its spans.
    pub spans: Vec<ReceivedSpan>,
}

type Sink = Arc<dyn Fn(ReceivedExport) + Send + Sync>;

/// A router that takes spans on the usual paths and hands each request to `sink` before it is answered.
pub fn router(sink: impl Fn(ReceivedExport) + Send + Sync + 'static) -> Router {
    let sink: Sink = Arc::new(sink);
    PATHS
        .iter()
        .fold(Router::new(), |router, path| router.route(path, post(receive)))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(sink)
}

async fn receive(State(sink): State<Sink>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    match decode(&headers, &body) {
        Ok(spans) => {
            sink(ReceivedExport { path: uri.path().to_owned(), headers, spans });
            accepted()
        }
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}

/// The answer to a request whose spans were all taken.
#[must_use]
pub fn accepted() -> Response {
    let body = ExportTraceServiceResponse::default().encode_to_vec();
    (StatusCode::OK, [(CONTENT_TYPE, PROTOBUF)], body).into_response()
}
