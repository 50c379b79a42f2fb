//! What an answer says it is.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Types whose body comes bit by bit: server-sent events, and the names that lines of JSON go by.
const STREAMS: [&str; 8] = [
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/stream+json",
];

/// A body's type without its parameters, in lower case; empty where there is none.
pub(super) fn essence(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a type is one that comes bit by bit.
pub(super) fn is_stream(essence: &str) -> bool {
    STREAMS.contains(&essence)
}

/// Whether a type is one JSON document.
pub(super) fn is_json(essence: &str) -> bool {
    !is_stream(essence) && (essence == "application/json" || essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart_whatever_their_parameters_and_case() {
        for (kind, stream, json) in [
            ("text/event-stream; charset=utf-8", true, false),
            ("Application/X-NDJSON", true, false),
            ("application/stream+json", true, false),
            ("application/json;charset=utf-8", false, true),
            ("application/problem+json", false, true),
            ("application/json-seq", false, false),
            ("text/plain", false, false),
            ("", false, false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            let essence = essence(&headers);
            assert_eq!((is_stream(&essence), is_json(&essence)), (stream, json), "{kind}");
        }
        assert_eq!(essence(&HeaderMap::new()), "");
    }
}
