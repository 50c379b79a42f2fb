//! What an answer says it is.

use encoding_rs::{Encoding, UTF_8};
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

/// The charset that a body is declared to be in.
pub(super) fn charset(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.next().map(|(_, value)| value.trim().trim_matches('"')).filter(|charset| !charset.is_empty())
}

/// `body` in UTF-8, if it is declared to be in another charset that is known, and is.
pub(super) fn in_utf8(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let declared = charset(headers).and_then(|charset| Encoding::for_label(charset.as_bytes()));
    let Some(encoding) = declared.filter(|encoding| *encoding != UTF_8) else { return body };
    // Much that is declared to be in an older charset is in UTF-8.
    if encoding.is_ascii_compatible() && std::str::from_utf8(&body).is_ok() {
        return body;
    }
    let (text, _, is_broken) = encoding.decode(&body);
    if is_broken { body } else { text.into_owned().into_bytes() }
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
    fn a_body_is_read_in_the_charset_that_it_is_declared_to_be_in() {
        let utf_16: Vec<u8> = "Grüße".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (kind, body, expected) in [
            ("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe".to_vec(), "Grüße".as_bytes()),
            ("text/plain; Charset=\"windows-1252\"", b"\x80 5".to_vec(), "€ 5".as_bytes()),
            ("application/json; charset=utf-16", utf_16.clone(), "Grüße".as_bytes()),
            ("text/plain; charset=latin1", "Grüße".into(), "Grüße".as_bytes()),
            ("text/plain; charset=utf-8", b"\xfc".to_vec(), b"\xfc"),
            ("text/plain; charset=klingon", b"\xfc".to_vec(), b"\xfc"),
            ("text/plain; charset=shift_jis", b"\x81".to_vec(), b"\x81"),
            ("text/plain; charset=", b"\xfc".to_vec(), b"\xfc"),
            ("text/plain", b"\xfc".to_vec(), b"\xfc"),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(in_utf8(&headers, body), expected, "{kind}");
        }
    }

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
