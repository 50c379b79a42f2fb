//! Lines of JSON (NDJSON, also called JSON Lines).

use serde_json::Value;

use super::StreamError;
use super::lines::{LineEnd, Lines};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a stream of JSON values, one a line; empty lines say nothing.
#[derive(Debug)]
pub struct NdjsonDecoder {
    lines: Lines,
    /// Lines that were read.
    read: u64,
}

impl NdjsonDecoder {
    /// A decoder that takes in lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { lines: Lines::new(LineEnd::Lf, limit), read: 0 }
    }

    /// Adds to `values` each one that `bytes` completes.
    ///
    /// # Errors
    /// [`StreamError`]; the values before it have been added, and nothing can be read after it.
    pub fn push(&mut self, bytes: &[u8], values: &mut Vec<Value>) -> Result<(), StreamError> {
        let Self { lines, read } = self;
        lines.push(bytes, |line| {
            values.extend(value(read, line)?);
            Ok(())
        })
    }

    /// The value of a last line that nothing ends.
    ///
    /// # Errors
    /// [`StreamError::NotJson`], also where the stream broke off in the middle of a line.
    pub fn finish(mut self) -> Result<Option<Value>, StreamError> {
        value(&mut self.read, &self.lines.rest())
    }
}

fn value(read: &mut u64, line: &[u8]) -> Result<Option<Value>, StreamError> {
    *read += 1;
    let line = if *read == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(line).map(Some).map_err(|source| StreamError::NotJson { line: *read, source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LIMIT: usize = 64;

    /// The values, and the error that ended the stream.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Value>, Option<String>) {
        let (mut decoder, mut values) = (NdjsonDecoder::new(LIMIT), Vec::new());
        for piece in pieces {
            if let Err(error) = decoder.push(piece, &mut values) {
                return (values, Some(error.to_string()));
            }
        }
        match decoder.finish() {
            Ok(last) => values.extend(last),
            Err(error) => return (values, Some(error.to_string())),
        }
        (values, None)
    }

    #[test]
    fn every_line_is_a_value() {
        for stream in ["1\n2\n", "1\r\n2", "\u{feff}1\n\n \r\n2\n\n", " 1 \n\t2\r\n"] {
            assert_eq!(decode([stream.as_bytes()]), (vec![json!(1), json!(2)], None), "{stream:?}");
        }
        assert_eq!(decode([&b""[..]]), (vec![], None));
    }

    #[test]
    fn a_line_that_is_not_json_is_named_after_the_values_before_it() {
        for (stream, line) in
            [("1\nno\n2\n", 2), ("1\n\n{\"a\":", 3), ("1\n1 2\n", 2), ("1\n\"a\u{0}\"", 2), ("1\r2\n", 1)]
        {
            let (values, error) = decode([stream.as_bytes()]);
            assert!(error.unwrap().starts_with(&format!("line {line} of the stream is not JSON: ")));
            assert_eq!(values.len(), usize::from(line > 1), "{stream:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_large_ends_the_stream() {
        let stream = format!("1\n\"{}\"\n", "x".repeat(LIMIT));
        let expected = format!("one event of the stream is larger than {LIMIT} bytes");
        assert_eq!(decode([stream.as_bytes()]), (vec![json!(1)], Some(expected)));
    }

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            4 => prop::sample::select(vec![&b"\n"[..], b"\r\n", b"{}", b"1", b"\"\xc3\xbc\"", b" ", b"[", b"{\"a\":[1]}\n"])
                .prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_split_of_the_bytes_gives_the_same_values(stream in streams(), size in 1usize..32) {
            let whole = decode([stream.as_slice()]);
            prop_assert_eq!(decode(stream.chunks(size)), whole.clone());
            prop_assert_eq!(decode(stream.chunks(1)), whole);
        }
    }
}
