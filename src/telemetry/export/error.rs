//! Why spans did not arrive.

use std::error::Error;
use std::time::Duration;

use crate::egress::ClientError;
use crate::events::{DeliveryFailure, DeliveryFailureKind};

/// Statuses after which the same request can never go better: it is malformed, too large, or refused for what it says.
const FINAL_STATUSES: [u16; 3] = [400, STATUS_TOO_LARGE, 422];
/// The status of an endpoint to which a request is too large.
pub(in crate::telemetry) const STATUS_TOO_LARGE: u16 = 413;

/// Why an export failed. No text holds credentials; URLs are without user, password and query.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint refused the request.
    #[error("{url} answered {status}{}", said(body))]
    Status {
        /// Where the spans were posted.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the endpoint said, cut.
        body: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The endpoint was not reached, or the connection broke.
    #[error("the request to {url} failed")]
    Transport {
        /// Where the spans were posted.
        url: String,
        /// What broke, or why it may not be called.
        source: ClientError,
    },
    /// The endpoint took the request but not every span. Such spans must not be sent again (OTLP 1.x, partial success).
    #[error("{url} rejected {rejected} spans{}", said(message))]
    Partial {
        /// Where the spans were posted.
        url: String,
        /// How many spans it did not take.
        rejected: u64,
        /// Why, in the endpoint's words, cut.
        message: String,
    },
    /// Something answered 2xx that is no OTLP endpoint.
    #[error(
        "{url} answered with {content_type}, but not as an OTLP endpoint does; check the path of the telemetry endpoint"
    )]
    NotOtlp {
        /// Where the spans were posted.
        url: String,
        /// What it sent instead.
        content_type: String,
    },
    /// Something answered 2xx with more than any OTLP response. It may have the spans, and would say the same again.
    #[error(
        "{url} took a request and gave an answer of more than {limit} bytes, which is too large to be read; whether it has the spans is not known, and they are not sent again"
    )]
    AnswerTooLarge {
        /// Where the spans were posted.
        url: String,
        /// The most bytes that are read.
        limit: usize,
    },
    /// Time ran out.
    #[error("{url} did not take the spans within {deadline:?}{}", after(last.as_deref()))]
    Deadline {
        /// Where the spans were posted.
        url: String,
        /// How long it was tried.
        deadline: Duration,
        /// The failure before the last attempt, if one was answered.
        last: Option<Box<ExportError>>,
    },
    /// A single span is larger than a request may be.
    #[error("a span of {bytes} bytes is larger than a request may be ({limit} bytes)")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// What was said, behind a colon, if anything was.
pub(in crate::telemetry) fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn after(last: Option<&ExportError>) -> String {
    last.map(|error| format!("; the last attempt: {}", error.describe())).unwrap_or_default()
}

impl ExportError {
    /// The kind, as receipts name it.
    #[must_use]
    pub fn kind(&self) -> DeliveryFailureKind {
        match self {
            Self::Status { .. } => DeliveryFailureKind::Status,
            Self::Transport { .. } => DeliveryFailureKind::Transport,
            Self::Partial { .. } => DeliveryFailureKind::Partial,
            Self::NotOtlp { .. } => DeliveryFailureKind::NotOtlp,
            Self::AnswerTooLarge { .. } => DeliveryFailureKind::AnswerTooLarge,
            Self::Deadline { .. } => DeliveryFailureKind::Deadline,
            Self::TooLarge { .. } => DeliveryFailureKind::TooLarge,
        }
    }

    /// How many of `sent` spans are not there and never will be, so that sending them again makes no sense; `None` if it
    /// does.
    #[must_use]
    pub fn refused(&self, sent: u64) -> Option<u64> {
        match self {
            Self::Partial { rejected, .. } => Some(sent.min(*rejected)),
            Self::Status { status, .. } if FINAL_STATUSES.contains(status) => Some(sent),
            Self::TooLarge { .. } | Self::AnswerTooLarge { .. } => Some(sent),
            _ => None,
        }
    }

    /// Whether those that are not sent again are so because the endpoint refused them.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Partial { .. } | Self::Status { .. })
    }

    /// What a receipt says of it: how many spans it is about stands beside it, over all requests that ended like this.
    #[must_use]
    pub fn reason(&self) -> DeliveryFailure {
        let message = match self {
            Self::Partial { url, message, .. } => format!("{url} rejected spans{}", said(message)),
            error => error.describe(),
        };
        DeliveryFailure { kind: self.kind(), status: self.status(), message, spans: 0 }
    }

    /// How long the endpoint asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Deadline { last, .. } => last.as_ref().and_then(|error| error.retry_after()),
            _ => None,
        }
    }

    /// The HTTP status, where the endpoint refused with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Deadline { last, .. } => last.as_ref().and_then(|error| error.status()),
            _ => None,
        }
    }

    /// The whole story with its causes, in one line.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
