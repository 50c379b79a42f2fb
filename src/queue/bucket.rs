//! The key-value bucket: writes with compare-and-set and a time to live, reads from the leader.
//!
//! The client library's own `create` loses the time to live where an expired key left a marker, and its `get` may
//! be answered by a replica that lags behind; neither will do for a fence.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{Context, kv};
use bytes::Bytes;

use super::headers::{HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, HEADER_TTL};
use super::publish::publish;
use super::{Connection, Topology, retry};
use crate::execution::failure::Unavailable;

/// Header that a deletion through a client leaves (ADR-8), and the one that an expiry leaves (ADR-43).
const TOMBSTONE_HEADERS: [&str; 2] = ["KV-Operation", "Nats-Marker-Reason"];

/// A key as the leader has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// What a writer has to expect: 0 if the key was never there.
    pub(super) revision: u64,
    /// The value; `None` if there is none, or none any more.
    pub(super) value: Option<Bytes>,
}

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The key is not at the expected revision.
    #[error("the key was written meanwhile")]
    WrongRevision,
    /// The value does not fit into a message.
    #[error("the value of {0} bytes is larger than the server takes")]
    TooLarge(usize),
    /// The broker does not answer.
    #[error(transparent)]
    Unavailable(Unavailable),
}

/// A bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    jetstream: Context,
    store: kv::Store,
    /// What the subjects begin with on which keys are written.
    write_prefix: String,
}

impl Bucket {
    /// The bucket of run states and cancel marks.
    pub(super) fn new(connection: &Connection, topology: &Topology) -> Self {
        Self::over(connection, &topology.runs)
    }

    pub(super) fn over(connection: &Connection, store: &kv::Store) -> Self {
        let write_prefix = connection.keys_of(store);
        Self { jetstream: connection.jetstream.clone(), store: store.clone(), write_prefix }
    }

    /// The key's value and revision, from the leader. Outages are waited out for a bounded time.
    pub(super) async fn read(&self, key: &str) -> Result<Stored, Unavailable> {
        let subject = format!("{}{key}", self.store.prefix);
        let read = retry::retry(
            retry::WRITE_PATIENCE,
            |_| retry::Next::Again,
            async || match self.store.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error),
            },
        );
        match read.await {
            Ok(None) => Ok(Stored { revision: 0, value: None }),
            Ok(Some(message)) => {
                let gone = TOMBSTONE_HEADERS.iter().any(|name| message.headers.get(*name).is_some());
                Ok(Stored { revision: message.sequence, value: (!gone).then_some(message.payload) })
            }
            Err(error) => Err(Unavailable::new(format!("reading the key {key}"), error)),
        }
    }

    /// Writes the key if it is at revision `expected` (`None`: whatever it is at), and returns its new revision.
    /// Outages are waited out for a bounded time, so a write may be refused because of its own first attempt.
    pub(super) async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, WriteError> {
        let subject = format!("{}{key}", self.write_prefix);
        match publish(&self.jetstream, &subject, &write_headers(expected, ttl), &value).await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::WrongLastSequence => WriteError::WrongRevision,
                PublishErrorKind::MaxPayloadExceeded => WriteError::TooLarge(value.len()),
                _ => WriteError::Unavailable(Unavailable::new(format!("writing the key {key}"), error)),
            }),
        }
    }
}

fn write_headers(expected: Option<u64>, ttl: Option<Duration>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(revision) = expected {
        headers.insert(HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    }
    if let Some(ttl) = ttl {
        headers.insert(HEADER_TTL, ttl.as_secs().max(1).to_string());
    }
    headers
}
