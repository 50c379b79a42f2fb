//! How long an agent may take, and how much it may say.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::definition::HttpDefinition;
use crate::events::MAX_TIMEOUT_SECONDS;
use crate::http_client::CONNECT_TIMEOUT;

/// Time for one reply where the definition says nothing, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 60;
/// The most of a reply that is taken in where the definition says nothing, in bytes after decompression: far more than
/// anybody says in one turn.
const DEFAULT_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// What a definition may raise it to, in bytes: every run in flight may hold as much.
const RESPONSE_BYTES: RangeInclusive<usize> = 1..=64 * 1024 * 1024;

/// The bounds of one reply.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For everything, from the first attempt to the last byte.
    pub(super) total: Duration,
    /// For making a connection: name, address and TLS.
    pub(super) connect: Duration,
    /// From sending an attempt to the beginning of its answer, redirects and connections included.
    pub(super) first_byte: Option<Duration>,
    /// Between two pieces of the answer's body.
    pub(super) idle: Option<Duration>,
    /// Of the body, in bytes after decompression.
    pub(super) bytes: usize,
}

impl Limits {
    /// Reads what a definition says. A limit that could never apply is refused, because somebody relies on it.
    pub(super) fn read(definition: &HttpDefinition) -> Result<Self, String> {
        let total = definition.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        if !(1..=MAX_TIMEOUT_SECONDS).contains(&total) {
            return Err(format!("timeoutSeconds: {total} is not 1 to {MAX_TIMEOUT_SECONDS}"));
        }
        let bytes = definition.max_response_bytes.unwrap_or(DEFAULT_RESPONSE_BYTES);
        if !RESPONSE_BYTES.contains(&bytes) {
            let most = RESPONSE_BYTES.end();
            return Err(format!("maxResponseBytes: {bytes} is not {} to {most}", RESPONSE_BYTES.start()));
        }
        let part = |field, seconds| part_of(total, field, seconds);
        Ok(Self {
            total: Duration::from_secs(total),
            connect: part("connectTimeoutSeconds", definition.connect_timeout_seconds)?
                .unwrap_or(CONNECT_TIMEOUT),
            first_byte: part("firstByteTimeoutSeconds", definition.first_byte_timeout_seconds)?,
            idle: part("idleTimeoutSeconds", definition.idle_timeout_seconds)?,
            bytes,
        })
    }
}

fn part_of(total: u64, field: &str, seconds: Option<u64>) -> Result<Option<Duration>, String> {
    match seconds {
        Some(0) => Err(format!("{field}: 0 is less than 1")),
        Some(seconds) if seconds > total => Err(format!(
            "{field}: {seconds} is more than timeoutSeconds ({total}), which is for everything, so it would never apply"
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}
