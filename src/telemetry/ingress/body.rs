//! From the bytes of a request to what is exported.

use std::io::Read as _;

use axum::body::Body;
use flate2::read::MultiGzDecoder;
use futures::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::answer::{Format, Problem};
use super::room::Share;
use super::weight;

/// The most bytes of a body, before and after it is unpacked: 8 MiB. Exporters send a few hundred spans at a time.
pub(super) const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that are unpacked at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

/// In which format a request is, by its headers.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let given = header(headers, &CONTENT_TYPE);
    let media = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Format::of(&media).ok_or(Problem::MediaType)
}

/// How its body is packed.
pub(super) fn packing(headers: &HeaderMap) -> Result<Packing, Problem> {
    match header(headers, &CONTENT_ENCODING).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Packing::Plain),
        "gzip" => Ok(Packing::Gzip),
        _ => Err(Problem::Encoding),
    }
}

/// Takes a body in, and room for it as it comes.
pub(super) async fn collect(body: Body, share: &mut Share) -> Result<Vec<u8>, Problem> {
    let (mut pieces, mut whole) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::Malformed)?;
        append(&mut whole, &piece, share)?;
    }
    Ok(whole)
}

/// Reads a body.
pub(super) fn decode(
    body: &[u8],
    packing: Packing,
    format: Format,
    share: &mut Share,
) -> Result<ExportTraceServiceRequest, Problem> {
    match packing {
        Packing::Plain => read(body, format, share),
        Packing::Gzip => read(&unpack(body, share)?, format, share),
    }
}

fn read(body: &[u8], format: Format, share: &mut Share) -> Result<ExportTraceServiceRequest, Problem> {
    match format {
        Format::Protobuf => {
            share.take(weight::of_protobuf(body)?)?;
            ExportTraceServiceRequest::decode(body).map_err(|_| Problem::Malformed)
        }
        Format::Json => {
            share.take(weight::of_json(body)?)?;
            serde_json::from_slice(body).map_err(|_| Problem::Malformed)
        }
    }
}

/// A body may be several that were packed one by one (RFC 1952, section 2.2).
fn unpack(body: &[u8], share: &mut Share) -> Result<Vec<u8>, Problem> {
    let (mut reader, mut unpacked) = (MultiGzDecoder::new(body), Vec::new());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece).map_err(|_| Problem::Malformed)? {
            0 => return Ok(unpacked),
            bytes => append(&mut unpacked, &piece[..bytes], share)?,
        }
    }
}

fn append(whole: &mut Vec<u8>, piece: &[u8], share: &mut Share) -> Result<(), Problem> {
    if whole.len() + piece.len() > MAX_BODY_BYTES {
        return Err(Problem::TooLarge);
    }
    share.take(piece.len())?;
    whole.extend_from_slice(piece);
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

    use super::super::room::{ROOM_BYTES, Room};
    use super::*;

    fn decode(body: &[u8], packing: Packing, format: Format) -> Result<ExportTraceServiceRequest, Problem> {
        super::decode(body, packing, format, &mut Room::default().share())
    }

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn json_is_read_as_the_specification_writes_it() {
        let body = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
            "scopeSpans":[{"scope":{"name":"lib"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
            "parentSpanId":"EEE19B7EC3C1B173","name":"find","startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,
            "kind":2,"unknownField":1,"attributes":[{"key":"n","value":{"intValue":"7"}}],"status":{"code":2}}]}]}]}"#;
        let request = decode(body, Packing::Plain, Format::Json).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(
            (hex::encode(&span.span_id).as_str(), span.name.as_str(), span.kind),
            ("eee19b7ec3c1b174", "find", 2)
        );
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (1_544_712_660_000_000_000, 1_544_712_661_000_000_000)
        );
        let value = span.attributes[0].value.as_ref().unwrap().value.as_ref();
        assert_eq!(value, Some(&any_value::Value::IntValue(7)));
        let packed = packed(&request.encode_to_vec());
        assert_eq!(decode(&packed, Packing::Gzip, Format::Protobuf).unwrap(), request);
    }

    #[test]
    fn what_is_no_export_request_is_malformed_and_a_bomb_is_too_large() {
        for format in [Format::Protobuf, Format::Json] {
            assert_eq!(decode(b"nonsense", Packing::Plain, format).unwrap_err(), Problem::Malformed);
            assert_eq!(decode(b"nonsense", Packing::Gzip, format).unwrap_err(), Problem::Malformed);
            let bomb = packed(&vec![0; MAX_BODY_BYTES + 1]);
            assert_eq!(decode(&bomb, Packing::Gzip, format).unwrap_err(), Problem::TooLarge);
        }
    }

    #[test]
    fn a_body_of_several_packed_ones_is_read_whole_and_together_they_may_be_too_large() {
        // Two messages of protobuf one behind the other are one.
        let one = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default()] };
        let twice = packed(&one.encode_to_vec()).repeat(2);
        let read = decode(&twice, Packing::Gzip, Format::Protobuf).unwrap();
        assert_eq!(read.resource_spans.len(), 2);
        let bomb = packed(&vec![0; MAX_BODY_BYTES / 2]).repeat(3);
        assert_eq!(decode(&bomb, Packing::Gzip, Format::Protobuf).unwrap_err(), Problem::TooLarge);
        let broken = [packed(&one.encode_to_vec()), vec![7; 20]].concat();
        assert_eq!(decode(&broken, Packing::Gzip, Format::Protobuf).unwrap_err(), Problem::Malformed);
    }

    #[test]
    fn a_small_body_takes_room_for_all_that_it_unpacks_to() {
        let room = Room::default();
        let mut others = room.share();
        others.take(ROOM_BYTES - MAX_BODY_BYTES / 2).unwrap();
        let packed = packed(&vec![0; MAX_BODY_BYTES]);
        let busy = super::decode(&packed, Packing::Gzip, Format::Protobuf, &mut room.share());
        assert_eq!(busy.unwrap_err(), Problem::Busy);
    }

    #[test]
    fn headers_say_how_a_body_is_to_be_read() {
        let of = |name: HeaderName, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        assert_eq!(format(&of(CONTENT_TYPE, "application/JSON; charset=utf-8")).unwrap(), Format::Json);
        assert_eq!(format(&of(CONTENT_TYPE, "application/x-protobuf")).unwrap(), Format::Protobuf);
        assert_eq!(format(&of(CONTENT_TYPE, "text/plain")).unwrap_err(), Problem::MediaType);
        assert_eq!(format(&HeaderMap::new()).unwrap_err(), Problem::MediaType);
        assert_eq!(packing(&of(CONTENT_ENCODING, "GZIP")).unwrap(), Packing::Gzip);
        assert_eq!(packing(&of(CONTENT_ENCODING, "zstd")).unwrap_err(), Problem::Encoding);
    }
}
