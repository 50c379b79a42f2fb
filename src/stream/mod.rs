//! Replies that arrive bit by bit: server-sent events and lines of JSON, out of bytes that come in any pieces.
//!
//! The decoders do no I/O. They hold one event at most, and refuse one that is larger than they were told.

mod lines;
mod ndjson;
mod sse;

pub use ndjson::NdjsonDecoder;
pub use sse::{DEFAULT_EVENT_NAME, SseDecoder, SseEvent};

/// The most of one event that callers without a better bound take in, in bytes: agents send words, and the largest
/// single event in practice is a whole answer.
pub const DEFAULT_EVENT_LIMIT: usize = 1024 * 1024;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// An event, or a line of one, is too large.
    #[error("one event of the stream is larger than {limit} bytes")]
    TooLarge {
        /// The most that is taken in, in bytes.
        limit: usize,
    },
    /// A line is not what the format asks for.
    #[error("line {line} of the stream is not JSON: {source}")]
    NotJson {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}
