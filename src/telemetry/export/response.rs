//! What an endpoint's answer means.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::acceptance::{self, Acceptance};
use super::{Accepted, Destination, ExportError};
use crate::text::cut;

/// The most bytes of an error's page that are read; only its beginning is repeated.
const MAX_PAGE_BYTES: usize = 64 * 1024;
/// The most bytes of an answer that says that spans were taken: 1 MiB. An OTLP response is short, but servers put more into it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// How much of an endpoint's own words is repeated, in bytes.
const MAX_QUOTED_BYTES: usize = 512;

/// Reads an answer and decides whether the spans were taken. `asked` is how long the endpoint wants to be left alone.
pub(super) async fn judge(
    response: reqwest::Response,
    destination: &Destination,
    asked: Option<Duration>,
) -> Result<Accepted, ExportError> {
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let limit = if status.is_success() { MAX_ANSWER_BYTES } else { MAX_PAGE_BYTES };
    let (body, is_whole) = read_up_to(response, limit)
        .await
        .map_err(|source| ExportError::Transport { url: destination.public_url(), source: source.into() })?;
    if !status.is_success() {
        return Err(refusal(status, &body, destination, asked));
    }
    if !is_whole {
        return Err(ExportError::AnswerTooLarge { url: destination.public_url(), limit });
    }
    interpret(&content_type, &body, destination)
}

/// The beginning of an answer's body.
pub(in crate::telemetry) async fn read(response: reqwest::Response) -> Result<Bytes, reqwest::Error> {
    Ok(read_up_to(response, MAX_PAGE_BYTES).await?.0)
}

/// At most `limit` bytes of a body, and whether that is all of it.
async fn read_up_to(mut response: reqwest::Response, limit: usize) -> Result<(Bytes, bool), reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((body.freeze(), false));
        }
    }
    Ok((body.freeze(), true))
}

fn refusal(
    status: StatusCode,
    body: &[u8],
    destination: &Destination,
    retry_after: Option<Duration>,
) -> ExportError {
    let body = quote(&String::from_utf8_lossy(body), destination);
    ExportError::Status { url: destination.public_url(), status: status.as_u16(), body, retry_after }
}

fn interpret(content_type: &str, body: &[u8], destination: &Destination) -> Result<Accepted, ExportError> {
    let url = destination.public_url();
    let Some(Acceptance { rejected, message }) = acceptance::read(content_type, body) else {
        return Err(ExportError::NotOtlp { url, content_type: name(content_type) });
    };
    let message = quote(&message, destination);
    if rejected == 0 {
        return Ok(Accepted { warning: Some(message).filter(|message| !message.is_empty()) });
    }
    Err(ExportError::Partial { url, rejected, message })
}

fn name(content_type: &str) -> String {
    let known = content_type.split(';').next().unwrap_or_default().trim();
    if known.is_empty() { "no content type".to_owned() } else { cut(known, MAX_QUOTED_BYTES) }
}

/// What an endpoint said, without its credentials, cut.
pub(in crate::telemetry) fn quote(text: &str, destination: &Destination) -> String {
    cut(&destination.redact(text.trim()), MAX_QUOTED_BYTES)
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

    fn ok(body: &str) -> Result<Accepted, ExportError> {
        interpret("application/json", body.as_bytes(), &destination())
    }

    #[test]
    fn what_is_no_otlp_answer_is_an_error_of_its_own() {
        let error = ok("[]").unwrap_err();
        assert_eq!(error.kind(), DeliveryFailureKind::NotOtlp);
        assert!(error.to_string().contains("application/json"), "{error}");
    }

    #[test]
    fn rejected_spans_are_an_error_and_a_warning_is_none() {
        let error =
            ok(r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"bad key hunter2"}}"#).unwrap_err();
        assert!(matches!(error, ExportError::Partial { rejected: 3, .. }), "{error}");
        assert!(error.to_string().ends_with("bad key [redacted]"), "{error}");
        let accepted = ok(r#"{"partialSuccess":{"errorMessage":"old key hunter2"}}"#).unwrap();
        assert_eq!(accepted.warning.as_deref(), Some("old key [redacted]"));
        assert_eq!(ok("{}").unwrap().warning, None);
    }

    #[test]
    fn a_long_error_page_is_cut_and_says_so() {
        let page = "é".repeat(2000);
        let error = refusal(StatusCode::BAD_GATEWAY, page.as_bytes(), &destination(), None);
        assert!(error.to_string().ends_with("é… [truncated]"), "{error}");
    }
}
