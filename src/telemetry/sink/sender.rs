//! Posts to the platform.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::cutting::MOST_KEPT;
use super::{Body, Post};
use crate::egress::{Client, ClientError, Redirects, retry_after};
use crate::telemetry::export::{AGENT, Destination, InvalidDestination, STATUS_TOO_LARGE, quote, read, said};

/// The most bytes that the platform takes in a request (50 MB), a little less.
const MOST_BODY_BYTES: usize = 49_000_000;
/// Bytes of each message, from what the platform keeps to what gets past a server in front of it that takes little.
const LADDER: [usize; 3] = [MOST_KEPT, 8 * 1024, 1024];
/// The status of a platform whose plan has no room for the run, or whose key may not write.
const UNWANTED: u16 = 403;
/// Statuses after which the same request can never go better: it is refused for what it says.
const REFUSALS: [u16; 4] = [400, STATUS_TOO_LARGE, 415, 422];

/// Why the platform did not take what it was told. No text holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The platform's address or key cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidDestination),
    /// It refused.
    #[error("{url} answered {status}{}", said(body))]
    Status {
        /// Where it was posted.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What was answered, cut.
        body: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It was not reached, the connection broke, or it took too long.
    #[error("the request to {url} failed")]
    Transport {
        /// Where it was posted.
        url: String,
        /// What broke, or why it may not be called.
        source: ClientError,
    },
    /// Something answered 2xx that is no LangWatch.
    #[error(
        "{url} answered {status}, and not as LangWatch does; check the endpoint in `telemetry.events`{}",
        said(body)
    )]
    Foreign {
        /// Where it was posted.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What was answered, cut.
        body: String,
    },
    /// It cannot be written down.
    #[error("the event cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is tried again.
    Again,
    /// It is never taken.
    Never,
    /// Nothing of the run is taken.
    NothingOfTheRun,
}

impl NotTaken {
    /// What is to be done about it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Status { status: UNWANTED, .. } => Remedy::NothingOfTheRun,
            Self::Status { status, .. } if REFUSALS.contains(status) => Remedy::Never,
            Self::Unwritable(_) => Remedy::Never,
            Self::Status { .. } | Self::Invalid(_) | Self::Transport { .. } | Self::Foreign { .. } => {
                Remedy::Again
            }
        }
    }

    /// How long the platform asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The HTTP status, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Foreign { status, .. } => Some(*status),
            _ => None,
        }
    }

    fn is_too_large(&self) -> bool {
        self.status() == Some(STATUS_TOO_LARGE)
    }
}

/// What the platform answers where it took something; the rest does not matter.
#[derive(Deserialize)]
struct Answer {
    success: bool,
}

/// Posts to platforms. It belongs to no tenant: where to and with what key comes with each call.
#[derive(Debug, Clone)]
pub struct SinkSender {
    client: Client,
    timeout: Duration,
}

impl SinkSender {
    /// A sender that posts through `client` and waits for an answer for at most `timeout`, connection and repetitions
    /// included.
    #[must_use]
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Posts once, or with ever less of the messages where there is too much of them.
    ///
    /// # Errors
    /// [`NotTaken`] if it was not taken.
    pub async fn post(&self, destination: &Destination, post: &Post<'_>) -> Result<(), NotTaken> {
        let ladder = if matches!(post.body, Body::Messages) { &LADDER[..] } else { &LADDER[..1] };
        let (mut last, end) = (Ok(()), Instant::now() + self.timeout);
        for most in ladder {
            last = self.send(destination, post.encode(*most)?, end).await;
            if !last.as_ref().is_err_and(NotTaken::is_too_large) {
                break;
            }
        }
        last
    }

    async fn send(&self, destination: &Destination, body: Vec<u8>, end: Instant) -> Result<(), NotTaken> {
        let url = || destination.public_url();
        if body.len() > MOST_BODY_BYTES {
            return Err(unsent(url(), body.len()));
        }
        let failed = |source| NotTaken::Transport { url: url(), source };
        let request = self
            .client
            .request(Method::POST, destination.url().clone())
            .headers(destination.headers().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .timeout(end.saturating_duration_since(Instant::now()))
            .body(body);
        let request = request.build().map_err(|error| failed(error.into()))?;
        // Nobody follows a redirect with a tenant's key.
        let response = self.client.execute(request, Redirects::Answer).await.map_err(failed)?;
        judge(response, destination).await
    }
}

/// As if the platform had said so, which it would.
fn unsent(url: String, bytes: usize) -> NotTaken {
    let body = format!("not sent: it has {bytes} bytes, and {MOST_BODY_BYTES} are taken");
    NotTaken::Status { url, status: STATUS_TOO_LARGE, body, retry_after: None }
}

async fn judge(response: reqwest::Response, destination: &Destination) -> Result<(), NotTaken> {
    let (url, status) = (destination.public_url(), response.status());
    let retry_after = retry_after(response.headers().get(RETRY_AFTER), OffsetDateTime::now_utc());
    let body = read(response)
        .await
        .map_err(|error| NotTaken::Transport { url: url.clone(), source: error.into() })?;
    let taken = serde_json::from_slice(&body).is_ok_and(|Answer { success }| success);
    if status.is_success() && taken {
        return Ok(());
    }
    let (is_success, status) = (status.is_success(), status.as_u16());
    let body = quote(&String::from_utf8_lossy(&body), destination);
    Err(if is_success {
        NotTaken::Foreign { url, status, body }
    } else {
        NotTaken::Status { url, status, body, retry_after }
    })
}
