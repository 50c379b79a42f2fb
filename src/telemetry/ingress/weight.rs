//! How much memory a request takes once it is read. Two bytes of a body may stand for a whole span, so that this is looked at
//! before anything is read.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::answer::Problem;

/// The most bytes that a body may take once it is read, beside its own: 96 MiB. What exporters send takes less than that
/// up to the largest body.
pub(super) const MAX_READ_BYTES: usize = 96 * 1024 * 1024;
/// Lists have room for up to twice as much as they hold, because they grow by doubling.
const LIST_GROWTH: usize = 2;
/// What the texts of a part take beside their bytes.
const TEXTS_BYTES: usize = 32;
/// The most parts within one another, by which a body is refused before its reader would refuse it (prost: 100).
const MAX_DEPTH: usize = 100;
/// JSON: the objects that are spans, and what is around them, are within at most so many others.
const DEPTH_OF_SPANS: usize = 4;
/// JSON: what a field takes while it is not known yet what it is.
const FIELD_BYTES: usize = 64;

/// A part of a request in protobuf.
#[derive(Clone, Copy)]
enum Part {
    Request,
    ResourceSpans,
    Resource,
    Entity,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    KeyValue,
    Value,
    Array,
    List,
    Text,
}

impl Part {
    /// The part that stands in its field `tag`, if that holds any (opentelemetry-proto).
    fn within(self, tag: u64) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::Resource, 3) => Self::Entity,
            (Self::Entity, 3 | 4) => Self::Text,
            (Self::ScopeSpans, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Resource | Self::List, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Link, 4)
            | (Self::Span, 9) => Self::KeyValue,
            (Self::KeyValue, 2) | (Self::Array, 1) => Self::Value,
            (Self::Value, 5) => Self::Array,
            (Self::Value, 6) => Self::List,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        let own = match self {
            Self::Request | Self::Array | Self::List => return 0,
            Self::ResourceSpans => size_of::<ResourceSpans>(),
            Self::Resource => size_of::<Resource>(),
            Self::ScopeSpans => size_of::<ScopeSpans>(),
            Self::Scope => size_of::<InstrumentationScope>(),
            Self::Span => size_of::<Span>(),
            Self::Event => size_of::<Event>(),
            Self::Link => size_of::<Link>(),
            Self::KeyValue => size_of::<KeyValue>(),
            Self::Value => size_of::<AnyValue>(),
            Self::Entity => 4 * size_of::<String>(),
            Self::Text => size_of::<String>(),
        };
        own * LIST_GROWTH + TEXTS_BYTES
    }
}

/// What a request in protobuf takes.
pub(super) fn of_protobuf(body: &[u8]) -> Result<usize, Problem> {
    let (mut weight, mut open) = (0, vec![(Part::Request, body)]);
    while let Some((part, rest)) = open.last_mut() {
        let part = *part;
        let Some((tag, content)) = next_field(rest)? else {
            open.pop();
            continue;
        };
        let Some((part, content)) = part.within(tag).zip(content) else { continue };
        weight = allowed(weight + part.bytes())?;
        open.push((part, content));
        if open.len() > MAX_DEPTH {
            return Err(Problem::Malformed);
        }
    }
    Ok(weight)
}

/// What a request in JSON takes.
pub(super) fn of_json(body: &[u8]) -> Result<usize, Problem> {
    let (mut weight, mut depth, mut in_text, mut escaped) = (0, 0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' => {
                depth += 1;
                weight += object_bytes(depth);
            }
            b'}' => depth = depth.saturating_sub(1),
            b',' => weight += FIELD_BYTES,
            _ => {}
        }
        allowed(weight)?;
    }
    Ok(weight)
}

fn object_bytes(depth: usize) -> usize {
    if depth <= DEPTH_OF_SPANS { Part::Span.bytes() } else { Part::KeyValue.bytes().max(Part::Event.bytes()) }
}

fn allowed(weight: usize) -> Result<usize, Problem> {
    if weight > MAX_READ_BYTES { Err(Problem::TooLarge) } else { Ok(weight) }
}

/// The number of the next field and what it holds, if that has a length; `None` at the end.
#[expect(clippy::type_complexity, reason = "a name for it would say less")]
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<(u64, Option<&'a [u8]>)>, Problem> {
    /// Bits of a field's key that say how it is written (Protocol Buffers, encoding).
    const WIRE_TYPE_BITS: u32 = 3;
    if rest.is_empty() {
        return Ok(None);
    }
    let key = varint(rest)?;
    let content = match key & ((1 << WIRE_TYPE_BITS) - 1) {
        0 => varint(rest).map(|_| None)?,
        1 => skipped(rest, size_of::<u64>()).map(|_| None)?,
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Problem::Malformed)?;
            Some(skipped(rest, length)?)
        }
        5 => skipped(rest, size_of::<u32>()).map(|_| None)?,
        // Groups, which OTLP has none of.
        _ => return Err(Problem::Malformed),
    };
    Ok(Some((key >> WIRE_TYPE_BITS, content)))
}

fn skipped<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Problem> {
    let (content, behind) = rest.split_at_checked(length).ok_or(Problem::Malformed)?;
    *rest = behind;
    Ok(content)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Problem> {
    /// Bits that a byte of a varint carries, and the most bytes of one (Protocol Buffers, encoding).
    const BITS: u32 = 7;
    const MAX_BYTES: usize = 10;
    let mut value = 0_u64;
    for place in 0..MAX_BYTES {
        let [byte] = skipped(rest, 1)? else { return Err(Problem::Malformed) };
        value |= u64::from(byte & 0x7f).wrapping_shl(BITS * u32::try_from(place).unwrap_or_default());
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Problem::Malformed)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use prost::Message as _;

    use super::super::body::MAX_BODY_BYTES;
    use super::*;

    fn attribute(key: &str, text: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        }
    }

    /// What exporters send: small attributes, and many of them.
    fn ordinary() -> ExportTraceServiceRequest {
        let span = Span {
            trace_id: vec![7; 16],
            span_id: vec![7; 8],
            name: "GET /orders".into(),
            attributes: vec![attribute("http.request.method", "GET"); 20],
            events: vec![Event { name: "sent".into(), ..Event::default() }],
            ..Span::default()
        };
        request(vec![span; 100])
    }

    #[test]
    fn the_largest_of_what_exporters_send_is_light_enough_in_both_formats() {
        let request = ordinary();
        let (protobuf, json) = (request.encode_to_vec(), serde_json::to_vec(&request).unwrap());
        for (weight, bytes) in [(of_protobuf(&protobuf), protobuf.len()), (of_json(&json), json.len())] {
            let per_byte = weight.unwrap().div_ceil(bytes);
            assert!(per_byte * MAX_BODY_BYTES <= MAX_READ_BYTES, "{per_byte} bytes each");
        }
    }

    #[test]
    fn every_part_is_weighed() {
        let weight = of_protobuf(&ordinary().encode_to_vec()).unwrap();
        let parts = 100
            * (Part::Span.bytes()
                + Part::Event.bytes()
                + 20 * (Part::KeyValue.bytes() + Part::Value.bytes()));
        assert_eq!(weight, parts + Part::ResourceSpans.bytes() + Part::ScopeSpans.bytes());
    }

    #[test]
    fn a_body_of_nothing_but_empty_parts_is_too_large() {
        let protobuf = request(vec![Span::default(); 250_000]).encode_to_vec();
        assert!(protobuf.len() < MAX_BODY_BYTES / 10);
        assert_eq!(of_protobuf(&protobuf), Err(Problem::TooLarge));
        let values = vec![AnyValue::default(); 1_100_000];
        let array =
            any_value::Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue { values });
        let deep = KeyValue { value: Some(AnyValue { value: Some(array) }), ..KeyValue::default() };
        let protobuf = request(vec![Span { attributes: vec![deep], ..Span::default() }]).encode_to_vec();
        assert_eq!(of_protobuf(&protobuf), Err(Problem::TooLarge));
        let json = format!("{{\"resourceSpans\":[{}]}}", vec!["{}"; 250_000].join(","));
        assert_eq!(of_json(json.as_bytes()), Err(Problem::TooLarge));
    }

    #[test]
    fn what_a_reader_would_not_read_is_malformed() {
        for body in
            [&b"\x0a"[..], b"\x0a\x05abc", b"\x0b\x0c", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert_eq!(of_protobuf(body), Err(Problem::Malformed), "{body:?}");
        }
        assert_eq!(of_json(br#"{"a{{{,,\"{":"{"}"#), Ok(Part::Span.bytes()), "texts weigh nothing");
    }
}
