//! What is answered, by OTLP over HTTP: in the format of the request, with a status that says whether to try again.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::json;

use super::body::MAX_BODY_BYTES;
use super::reception::Reception;

/// Seconds after which somebody may try again who was refused because there was too much to do.
const RETRY_AFTER_SECONDS: u32 = 2;

/// How a request, and therefore its answer, is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// The format of a media type.
    pub(super) fn of(media: &str) -> Option<Self> {
        [Self::Protobuf, Self::Json].into_iter().find(|format| format.media_type() == media)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Why a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("spans are taken at /v1/traces")]
    NotHere,
    #[error("spans are sent with POST")]
    Method,
    #[error("the bearer token is missing or wrong")]
    Unauthorized,
    #[error("the content type must be application/x-protobuf or application/json")]
    MediaType,
    #[error("the content encoding must be gzip or identity")]
    Encoding,
    #[error("a body may have {MAX_BODY_BYTES} bytes, packed and unpacked")]
    TooLarge,
    #[error("the body is no OTLP export request for traces")]
    Malformed,
    #[error("the body did not come in time")]
    Slow,
    #[error("too much is being received; try again later")]
    Busy,
    #[error("other workers cannot be asked whose the spans are; try again later")]
    Unreachable,
}

impl Problem {
    /// Every problem.
    pub(super) const ALL: [Self; 10] = [
        Self::NotHere,
        Self::Method,
        Self::Unauthorized,
        Self::MediaType,
        Self::Encoding,
        Self::TooLarge,
        Self::Malformed,
        Self::Slow,
        Self::Busy,
        Self::Unreachable,
    ];

    fn status(self) -> StatusCode {
        match self {
            Self::NotHere => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::MediaType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem as a metric's label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotHere => "not_found",
            Self::Method => "method",
            Self::Unauthorized => "unauthorized",
            Self::MediaType => "media_type",
            Self::Encoding => "encoding",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
        }
    }

    /// The answer.
    pub(super) fn answer(self, format: Format) -> Response {
        let (status, message) = (self.status(), self.to_string());
        let body = match format {
            Format::Protobuf => Status { message }.encode_to_vec(),
            Format::Json => json!({ "message": message }).to_string().into_bytes(),
        };
        let mut response = respond(status, format, body);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// What went wrong (`google.rpc.Status`, whose code OTLP over HTTP leaves unset).
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// The answer to a request that was taken, if not every span of it.
pub(super) fn taken(reception: &Reception, format: Format) -> Response {
    let partial_success = partial(reception);
    let body = match format {
        Format::Protobuf => ExportTraceServiceResponse { partial_success }.encode_to_vec(),
        Format::Json => in_json(partial_success).to_string().into_bytes(),
    };
    respond(StatusCode::OK, format, body)
}

fn partial(reception: &Reception) -> Option<ExportTracePartialSuccess> {
    let refused: u64 = reception.refused.values().sum();
    let reasons =
        reception.refused.iter().map(|(reason, spans)| format!("{spans} spans: {}", reason.words()));
    let error_message = reasons.collect::<Vec<_>>().join("; ");
    let rejected_spans = i64::try_from(refused).unwrap_or(i64::MAX);
    (refused > 0).then_some(ExportTracePartialSuccess { rejected_spans, error_message })
}

/// Numbers of 64 bits are texts in the JSON of protobuf.
fn in_json(partial: Option<ExportTracePartialSuccess>) -> serde_json::Value {
    match partial {
        None => json!({}),
        Some(partial) => json!({ "partialSuccess": {
            "rejectedSpans": partial.rejected_spans.to_string(), "errorMessage": partial.error_message,
        } }),
    }
}

fn respond(status: StatusCode, format: Format, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    response
}
