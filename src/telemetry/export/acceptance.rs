//! Whether an answer's body is an OTLP response, and what it says.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::{Map, Value};

/// The fields of an answer under both names that a protobuf JSON parser takes.
const PARTIAL_SUCCESS: [&str; 2] = ["partialSuccess", "partial_success"];
const REJECTED_SPANS: [&str; 2] = ["rejectedSpans", "rejected_spans"];
const ERROR_MESSAGE: [&str; 2] = ["errorMessage", "error_message"];

/// Members of objects that are no OTLP response, whatever the status says.
const ERROR: &str = "error";
const STATUS: &str = "status";

/// The largest number below which every integer has a `f64` of its own: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What an OTLP response says of the spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// Spans that were not taken.
    pub(super) rejected: u64,
    /// Why; where none were rejected, a warning.
    pub(super) message: String,
}

/// Reads an answer; `None` if it is no OTLP response. An empty one is that all was taken, but not from a web page.
pub(super) fn read(content_type: &str, body: &[u8]) -> Option<Acceptance> {
    if body.is_empty() {
        return (!content_type.contains("html")).then(Acceptance::default);
    }
    if content_type.contains("json") {
        return json(body);
    }
    (content_type.is_empty() || content_type.contains("protobuf")).then(|| protobuf(body))?
}

fn protobuf(body: &[u8]) -> Option<Acceptance> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success.unwrap_or_default();
    Some(Acceptance { rejected: count(partial.rejected_spans), message: partial.error_message })
}

/// By the JSON mapping of protobuf: an object, whose unknown members do not matter.
fn json(body: &[u8]) -> Option<Acceptance> {
    let Value::Object(answer) = serde_json::from_slice(body).ok()? else { return None };
    if tells_of_an_error(&answer) {
        return None;
    }
    match member(&answer, PARTIAL_SUCCESS) {
        None => Some(Acceptance::default()),
        Some(Value::Object(partial)) => partial_success(partial),
        Some(_) => None,
    }
}

fn partial_success(partial: &Map<String, Value>) -> Option<Acceptance> {
    let rejected = member(partial, REJECTED_SPANS).map_or(Some(0), integer)?;
    let message = member(partial, ERROR_MESSAGE).map_or(Some(""), Value::as_str)?;
    Some(Acceptance { rejected: count(rejected), message: message.to_owned() })
}

fn tells_of_an_error(answer: &Map<String, Value>) -> bool {
    let status = answer.get(STATUS).and_then(Value::as_str);
    member(answer, [ERROR]).is_some() || status.is_some_and(|status| status.eq_ignore_ascii_case(ERROR))
}

/// A member under the first of its names that is there; null is as if it were not.
fn member<'a, const N: usize>(object: &'a Map<String, Value>, names: [&str; N]) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(*name).filter(|value| !value.is_null()))
}

/// A 64-bit integer, as a number or as text, with a fraction of zero or an exponent if it is a whole number all the same.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.parse().ok().or_else(|| whole(text.parse().ok()?)),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// A server that rejected less than nothing rejected nothing.
fn count(rejected: i64) -> u64 {
    u64::try_from(rejected).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rejected: u64, message: &str) -> Acceptance {
        Acceptance { rejected, message: message.to_owned() }
    }

    fn in_json(body: &str) -> Option<Acceptance> {
        read("application/json; charset=utf-8", body.as_bytes())
    }

    #[test]
    fn an_otlp_response_of_either_kind_is_an_acceptance() {
        for (content_type, body) in [
            ("application/x-protobuf", ""),
            ("application/json", ""),
            ("text/plain", ""),
            ("", ""),
            ("application/json", "{}"),
            ("application/json", r#"{"message":"Trace received","status":"success","error":null}"#),
            ("application/json", r#"{"partialSuccess":null}"#),
            ("application/json", r#"{"partialSuccess":{}}"#),
            ("application/json", r#"{"partialSuccess":{"rejectedSpans":"0","more":[1]}}"#),
            ("application/json", r#"{"partial_success":{"rejected_spans":-1,"error_message":null}}"#),
        ] {
            assert_eq!(read(content_type, body.as_bytes()), Some(said(0, "")), "{content_type} {body}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line for each answer, as a table")]
    fn anything_else_is_none_whatever_its_status() {
        for (content_type, body) in [
            ("text/html", "<html>"),
            ("text/html", ""),
            ("text/plain", "ok"),
            ("application/x-protobuf", "<html>"),
            ("application/json", "<html>"),
            ("application/json", "[]"),
            ("application/json", "null"),
            ("application/json", "true"),
            ("application/json", "\"ok\""),
            ("application/json", r#"{"error":"unauthorised","status":"error"}"#),
            ("application/json", r#"{"error":{"code":7}}"#),
            ("application/json", r#"{"status":"Error"}"#),
            ("application/json", r#"{"partialSuccess":[]}"#),
            ("application/json", r#"{"partialSuccess":"no"}"#),
            ("application/json", r#"{"partialSuccess":{"rejectedSpans":1.5}}"#),
            ("application/json", r#"{"partialSuccess":{"rejectedSpans":"many"}}"#),
            ("application/json", r#"{"partialSuccess":{"rejectedSpans":[1]}}"#),
            ("application/json", r#"{"partialSuccess":{"rejectedSpans":true}}"#),
            ("application/json", r#"{"partialSuccess":{"errorMessage":7}}"#),
        ] {
            assert_eq!(read(content_type, body.as_bytes()), None, "{content_type} {body}");
        }
    }

    #[test]
    fn a_count_is_read_in_every_way_in_which_it_may_be_written() {
        for number in ["5", "\"5\"", "5.0", "\"5.0\"", "0.5e1"] {
            for (partial, rejected, message) in [
                ("partialSuccess", "rejectedSpans", "errorMessage"),
                ("partial_success", "rejected_spans", "error_message"),
            ] {
                let body = format!(r#"{{"{partial}":{{"{rejected}":{number},"{message}":"bad"}}}}"#);
                assert_eq!(in_json(&body), Some(said(5, "bad")), "{body}");
            }
        }
    }

    #[test]
    fn a_message_without_a_rejected_span_is_read() {
        let body = r#"{"partialSuccess":{"errorMessage":"old schema"}}"#;
        assert_eq!(in_json(body), Some(said(0, "old schema")));
    }
}
