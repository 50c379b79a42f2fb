//! From the bytes of a request to spans.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::view::{ReceivedSpan, spans};
use super::{MAX_BODY_BYTES, PROTOBUF};

/// A request that is no OTLP export in protobuf.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Another media type.
    #[error("the content type is '{0}'; only {PROTOBUF} is taken")]
    ContentType(String),
    /// Another encoding.
    #[error("the content encoding is '{0}'; only gzip and identity are taken")]
    ContentEncoding(String),
    /// Too large once unpacked.
    #[error("the unpacked body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not gzip.
    #[error("the body is not gzip")]
    Gzip(#[from] std::io::Error),
    /// Not protobuf.
    #[error("the body is not an OTLP export request")]
    Protobuf(#[from] prost::DecodeError),
}

impl DecodeError {
    /// The HTTP status for it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Gzip(_) | Self::Protobuf(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Decodes an export request.
///
/// # Errors
/// [`DecodeError`] that says what the body is not.
pub fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Vec<ReceivedSpan>, DecodeError> {
    let content_type = header(headers, &CONTENT_TYPE);
    if !content_type.starts_with(PROTOBUF) {
        return Err(DecodeError::ContentType(content_type));
    }
    let request = match header(headers, &CONTENT_ENCODING).as_str() {
        "" | "identity" => ExportTraceServiceRequest::decode(body)?,
        "gzip" => ExportTraceServiceRequest::decode(unpack(body)?.as_slice())?,
        other => return Err(DecodeError::ContentEncoding(other.to_owned())),
    };
    Ok(spans(request))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(body).take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() > MAX_BODY_BYTES { Err(DecodeError::TooLarge) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_no_export_is_refused_with_the_right_status() {
        let protobuf = (CONTENT_TYPE, PROTOBUF);
        for (given, body, status) in [
            (headers(&[]), &b""[..], 415),
            (headers(&[(CONTENT_TYPE, "application/json")]), b"{}", 415),
            (headers(&[protobuf.clone(), (CONTENT_ENCODING, "br")]), b"", 415),
            (headers(&[protobuf.clone(), (CONTENT_ENCODING, "gzip")]), b"nonsense", 400),
            (headers(&[protobuf]), b"nonsense", 400),
        ] {
            assert_eq!(decode(&given, body).unwrap_err().status(), status, "{given:?}");
        }
    }

    #[test]
    fn a_small_body_that_unpacks_to_a_large_one_is_refused() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&vec![0; MAX_BODY_BYTES + 1]).unwrap();
        let given = headers(&[(CONTENT_TYPE, PROTOBUF), (CONTENT_ENCODING, "gzip")]);
        assert_eq!(decode(&given, &bomb.finish().unwrap()).unwrap_err().status(), 413);
    }
}
