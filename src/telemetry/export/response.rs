//! What an endpoint's answer means.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value;

use super::{Destination, ExportError};
use crate::text::cut;

/// The most bytes of an answer that are read: it is either an OTLP response, which is short, or an error page.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// How much of an endpoint's own words is repeated, in bytes.
const MAX_QUOTED_BYTES: usize = 512;

/// Reads an answer and decides whether the spans were taken. `asked` is how long the endpoint wants to be left alone.
pub(super) async fn judge(
    response: reqwest::Response,
    destination: &Destination,
    asked: Option<Duration>,
) -> Result<(), ExportError> {
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let body = read(response)
        .await
        .map_err(|source| ExportError::Transport { url: destination.public_url(), source: source.into() })?;
    interpret(status, &content_type, &body, destination).map_err(|error| match error {
        ExportError::Status { url, status, body, .. } => {
            ExportError::Status { url, status, body, retry_after: asked }
        }
        error => error,
    })
}

/// The beginning of an answer's body.
pub(in crate::telemetry) async fn read(mut response: reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        let room = MAX_RESPONSE_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_RESPONSE_BYTES {
            break;
        }
    }
    Ok(body.freeze())
}

fn interpret(
    status: StatusCode,
    content_type: &str,
    body: &[u8],
    destination: &Destination,
) -> Result<(), ExportError> {
    let url = destination.public_url();
    if !status.is_success() {
        let body = quote(&String::from_utf8_lossy(body), destination);
        return Err(ExportError::Status { url, status: status.as_u16(), body, retry_after: None });
    }
    let Some((rejected, message)) = partial_success(content_type, body) else {
        return Err(ExportError::NotOtlp { url, content_type: name(content_type) });
    };
    if rejected == 0 {
        return Ok(());
    }
    Err(ExportError::Partial { url, rejected, message: quote(&message, destination) })
}

fn name(content_type: &str) -> String {
    let known = content_type.split(';').next().unwrap_or_default().trim();
    if known.is_empty() { "no content type".to_owned() } else { cut(known, MAX_QUOTED_BYTES) }
}

/// What an endpoint said, without its credentials, cut.
pub(in crate::telemetry) fn quote(text: &str, destination: &Destination) -> String {
    cut(&destination.redact(text.trim()), MAX_QUOTED_BYTES)
}

/// Rejected spans and the reason; `None` if this is no OTLP response.
fn partial_success(content_type: &str, body: &[u8]) -> Option<(u64, String)> {
    if content_type.contains("json") {
        return json_partial_success(body);
    }
    if content_type.contains("protobuf") || (content_type.is_empty() && !body.is_empty()) {
        return protobuf_partial_success(body);
    }
    (body.is_empty() && !content_type.contains("html")).then(Default::default)
}

fn protobuf_partial_success(body: &[u8]) -> Option<(u64, String)> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success.unwrap_or_default();
    Some((u64::try_from(partial.rejected_spans).unwrap_or_default(), partial.error_message))
}

/// Protobuf's JSON mapping writes 64-bit numbers as strings; many servers write them as numbers.
fn json_partial_success(body: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let partial = &answer["partialSuccess"];
    let rejected = match &partial["rejectedSpans"] {
        Value::String(text) => text.parse().unwrap_or_default(),
        number => number.as_u64().unwrap_or_default(),
    };
    Some((rejected, partial["errorMessage"].as_str().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::{Secret, TelemetryDestination, TelemetryProtocol};
    use crate::events::DeliveryFailureKind;

    fn destination() -> Destination {
        Destination::parse(&TelemetryDestination {
            endpoint: "http://c.example".into(),
            api_key: Some(Secret::new("hunter2")),
            protocol: TelemetryProtocol::Otlp,
            capture: None,
            events: None,
        })
        .unwrap()
    }

    fn ok(content_type: &str, body: &[u8]) -> Result<(), ExportError> {
        interpret(StatusCode::OK, content_type, body, &destination())
    }

    #[test]
    fn an_otlp_answer_of_either_kind_is_success() {
        for (content_type, body) in [
            ("application/x-protobuf", &b""[..]),
            ("application/json; charset=utf-8", b"{\"message\":\"Trace received\"}"),
            ("application/json", b"{\"partialSuccess\":{\"rejectedSpans\":\"0\"}}"),
            ("", b""),
        ] {
            ok(content_type, body).unwrap();
        }
    }

    #[test]
    fn a_page_is_no_otlp_answer() {
        for (content_type, body) in [
            ("text/html", &b"<html>"[..]),
            ("text/html", b""),
            ("text/plain", b"ok"),
            ("application/json", b"<html>"),
            ("application/x-protobuf", b"<html>"),
        ] {
            let error = ok(content_type, body).unwrap_err();
            assert_eq!(error.kind(), DeliveryFailureKind::NotOtlp, "{content_type} {body:?}");
        }
    }

    #[test]
    fn rejected_spans_are_an_error_however_the_number_is_written() {
        for body in [
            &br#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"bad key hunter2"}}"#[..],
            br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad key hunter2"}}"#,
        ] {
            let error = ok("application/json", body).unwrap_err();
            assert!(matches!(error, ExportError::Partial { rejected: 3, .. }), "{error}");
            assert!(error.to_string().ends_with("bad key [redacted]"), "{error}");
        }
    }

    #[test]
    fn a_long_error_page_is_cut_and_says_so() {
        let page = "é".repeat(2000);
        let error =
            interpret(StatusCode::BAD_GATEWAY, "text/html", page.as_bytes(), &destination()).unwrap_err();
        assert!(error.to_string().ends_with("é… [truncated]"), "{error}");
    }
}
