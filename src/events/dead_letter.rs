//! `scenario.run.dead_lettered`: a message that can never be run, with its reason and its bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What is wrong with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterCode {
    /// The bytes are not JSON.
    InvalidJson,
    /// A field is missing, of the wrong type, or breaks its rule.
    InvalidRequest,
    /// A number is outside its bounds.
    OutOfBounds,
    /// The subject names another project than the payload.
    ProjectMismatch,
    /// The server delivered it too often and gave up.
    DeliveriesExhausted,
    /// The platform that is told of runs refuses it for good.
    SinkRefused,
    /// The platform that is told of runs did not take it before it became too old.
    SinkExpired,
}

impl DeadLetterCode {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::OutOfBounds,
        Self::ProjectMismatch,
        Self::DeliveriesExhausted,
        Self::SinkRefused,
        Self::SinkExpired,
    ];

    /// The code as it travels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::OutOfBounds => "out_of_bounds",
            Self::ProjectMismatch => "project_mismatch",
            Self::DeliveriesExhausted => "deliveries_exhausted",
            Self::SinkRefused => "sink_refused",
            Self::SinkExpired => "sink_expired",
        }
    }
}

/// An object that holds the bytes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadObject {
    /// The object store.
    pub bucket: String,
    /// The object in it.
    pub name: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// SHA-256 of the bytes, as hexadecimal digits.
    pub sha256: String,
}

/// The payload of `scenario.run.dead_lettered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// What is wrong.
    pub code: DeadLetterCode,
    /// What is wrong and where, for a person.
    pub reason: String,
    /// The subject that the message was published on.
    pub subject: String,
    /// Its headers.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Its original bytes, as base64.
    pub payload: String,
    /// True where only the beginning of the bytes fitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payload_truncated: bool,
    /// Where all of the bytes are, where they did not fit into the letter. Kept as long as the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_object: Option<PayloadObject>,
    /// True where the headers did not fit as they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headers_truncated: bool,
    /// Where the stream had it.
    pub stream_sequence: u64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// When it was given up.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}
