//! Why there is no reply.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::retry::{Named, Trouble};
use crate::adapters::codes;
use crate::egress::{ClientError, Refused};
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};

const SLOW_HINT: &str = "If the agent needs longer, raise timeoutSeconds in its definition";
const LATE_HINT: &str = "If the agent needs longer to begin, raise firstByteTimeoutSeconds in its definition";
const SILENT_HINT: &str =
    "If the agent pauses for longer in the middle of an answer, raise idleTimeoutSeconds in its definition";
const TOO_LARGE_HINT: &str = "Let the agent answer more briefly, or raise maxResponseBytes in its definition";
const UNREACHABLE_HINT: &str =
    "Check that the agent runs at the URL of its definition, and that the worker can reach it";

const TLS_HINT: &str = "Check that TLS is spoken at this port (an agent without it has a URL that begins with http://), and that its certificate is \
     trusted and for its name: tls.caCertificate and tls.serverName of the agent's definition say otherwise";
/// What is said of a TLS connection that failed, and how it is told from others.
const TLS_FAILED: &str = "the TLS connection failed: ";
/// What the TLS connection says whose other side ends it at once, as one does that does not speak TLS.
const TLS_ENDED: &str = "tls handshake eof";

/// Why there is no reply. `place` is the origin and path that was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoReply {
    #[error("{place} did not answer within {} seconds", .limit.as_secs())]
    Timeout { place: String, limit: Duration },
    #[error("{place} could not be reached: no connection came about within {} seconds", .limit.as_secs())]
    ConnectTimeout { place: String, limit: Duration },
    #[error("{place} did not begin to answer within {} seconds", .limit.as_secs())]
    FirstByteTimeout { place: String, limit: Duration },
    #[error("{place} fell silent for {} seconds in the middle of its answer", .limit.as_secs())]
    IdleTimeout { place: String, limit: Duration },
    #[error("{place} may not be called: {refused}")]
    Forbidden { place: String, refused: Refused },
    #[error("{place} could not be reached: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("{place} answers with redirects only: {cause}")]
    Redirected { place: String, cause: String },
    #[error("{place} ended the connection before its reply was complete: {cause}")]
    Interrupted { place: String, cause: String },
    #[error("the reply of {place} is larger than the {limit} bytes that are read")]
    TooLarge { place: String, limit: usize },
}

impl From<NoReply> for RunFailure {
    fn from(error: NoReply) -> Self {
        let of_target = |code| Self::new(code, Attribution::Target, error.to_string());
        match &error {
            NoReply::Timeout { .. } => of_target(codes::HTTP_TIMEOUT).with_hint(SLOW_HINT),
            NoReply::FirstByteTimeout { .. } => of_target(codes::HTTP_TIMEOUT).with_hint(LATE_HINT),
            NoReply::IdleTimeout { .. } => of_target(codes::HTTP_TIMEOUT).with_hint(SILENT_HINT),
            NoReply::Forbidden { .. } => Self::definition(code::EGRESS_REFUSED, error.to_string()),
            NoReply::Unreachable { cause, .. } if cause.starts_with(TLS_FAILED) => {
                of_target(codes::HTTP_UNREACHABLE).with_hint(TLS_HINT)
            }
            NoReply::Unreachable { .. } | NoReply::ConnectTimeout { .. } | NoReply::Redirected { .. } => {
                of_target(codes::HTTP_UNREACHABLE).with_hint(UNREACHABLE_HINT)
            }
            NoReply::Interrupted { .. } => of_target(codes::HTTP_INVALID_RESPONSE),
            NoReply::TooLarge { .. } => of_target(codes::HTTP_RESPONSE_TOO_LARGE).with_hint(TOO_LARGE_HINT),
        }
    }
}

impl NoReply {
    /// The request brought no answer. Making a connection may take as long as `connect`.
    pub(super) fn to_request(error: ClientError, place: &str, connect: Duration) -> Self {
        let place = place.to_owned();
        match error {
            ClientError::Refused(refused) => Self::Forbidden { place, refused },
            ClientError::TooManyRedirects => Self::too_many_redirects(place),
            ClientError::Http(error) if error.is_connect() && error.is_timeout() => {
                Self::ConnectTimeout { place, limit: connect }
            }
            ClientError::Http(error) => Self::broken(error, &place),
        }
    }

    /// Nobody at `place` answers, nor anywhere it leads.
    pub(super) fn too_many_redirects(place: String) -> Self {
        Self::Redirected { place, cause: ClientError::TooManyRedirects.to_string() }
    }

    /// The exchange broke.
    pub(super) fn broken(error: reqwest::Error, place: &str) -> Self {
        let (unreachable, place) = (error.is_connect() || error.is_builder(), place.to_owned());
        let cause = cause(&error.without_url());
        if unreachable { Self::Unreachable { place, cause } } else { Self::Interrupted { place, cause } }
    }

    /// What it is to whoever may ask again; `None` where that cannot help.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let named = match self {
            Self::ConnectTimeout { .. } | Self::Unreachable { .. } => Named::Connect,
            Self::FirstByteTimeout { .. } | Self::IdleTimeout { .. } => Named::Timeout,
            Self::Interrupted { .. } => Named::Interrupted,
            Self::Timeout { .. }
            | Self::Forbidden { .. }
            | Self::Redirected { .. }
            | Self::TooLarge { .. } => {
                return None;
            }
        };
        Some(Trouble::Named(named))
    }
}

/// The innermost reason: the layers above it only say that something failed.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &(dyn Error + 'static) = error;
    let mut layer = "";
    while let Some(source) = reason.source() {
        reason = source;
        if reason.to_string().starts_with("dns error") {
            layer = "the host name could not be resolved: ";
        } else if is_tls(reason) {
            layer = TLS_FAILED;
        }
    }
    format!("{layer}{reason}")
}

/// An I/O error hides what it wraps from the chain of sources, and may wrap another one.
fn is_tls(reason: &(dyn Error + 'static)) -> bool {
    let wrapped = reason.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let ended = reason.is::<io::Error>() && reason.to_string() == TLS_ENDED;
    ended || reason.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}
