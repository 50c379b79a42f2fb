//! The one sender of all runs.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::Response;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::payload::{Packed, compress};
use super::{Destination, ExportError, response, retry};
use crate::egress::{Client, ClientError, Redirects, retry_after};

/// Posts at the same time over all runs: enough that a slow endpoint does not hold up the others, few enough that
/// a thousand runs that end together do not open a thousand connections.
pub const MAX_CONCURRENT_POSTS: usize = 128;

/// Time for one attempt, connection included. A server that needs longer is treated as gone.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who posts, as endpoints see it.
pub(in crate::telemetry) const AGENT: &str = concat!("scenario-worker/", env!("CARGO_PKG_VERSION"));

/// Posts spans. It belongs to no tenant: where to and with what key comes with each call.
#[derive(Debug, Clone)]
pub struct OtlpSender {
    client: Client,
    posts: Arc<Semaphore>,
}

/// How often a request is posted that may go better next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// Once.
    One,
    /// Until there is no time left, or it makes no sense any more.
    Several,
}

impl Attempts {
    fn most(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Several => retry::MAX_ATTEMPTS,
        }
    }
}

/// A failed attempt and what to do next.
struct Failure {
    error: ExportError,
    next: Next,
}

enum Next {
    GiveUp,
    /// Try again, after as long as the server asks for.
    Retry(Option<Duration>),
}

impl OtlpSender {
    /// A sender that posts through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, posts: Arc::new(Semaphore::new(MAX_CONCURRENT_POSTS)) }
    }

    /// Posts an encoded request until it is taken, refused for good, `most` attempts were made, or `deadline` has passed.
    ///
    /// # Errors
    /// [`ExportError`] that says what the endpoint did.
    pub(crate) async fn send(
        &self,
        destination: &Destination,
        body: Vec<u8>,
        deadline: Duration,
        most: Attempts,
    ) -> Result<(), ExportError> {
        let (mut last, end) = (None, Instant::now() + deadline);
        let most = most.most();
        let attempts =
            async { self.attempt_until(destination, &compress(body).await, end, most, &mut last).await };
        let ended = timeout(deadline, attempts).await;
        ended.unwrap_or_else(|_| Err(out_of_time(destination, deadline, last)))
    }

    /// As [`OtlpSender::send`], for a request that was packed before.
    ///
    /// # Errors
    /// [`ExportError`] that says what the endpoint did.
    pub(crate) async fn send_packed(
        &self,
        destination: &Destination,
        packed: Packed,
        deadline: Duration,
    ) -> Result<(), ExportError> {
        let (mut last, end) = (None, Instant::now() + deadline);
        let most = retry::MAX_ATTEMPTS;
        let ended = timeout(deadline, self.attempt_until(destination, &packed, end, most, &mut last)).await;
        ended.unwrap_or_else(|_| Err(out_of_time(destination, deadline, last)))
    }

    async fn attempt_until(
        &self,
        destination: &Destination,
        packed: &Packed,
        end: Instant,
        most: u32,
        last: &mut Option<ExportError>,
    ) -> Result<(), ExportError> {
        for attempt in 1.. {
            let Err(Failure { error, next }) = self.attempt(destination, packed).await else {
                return Ok(());
            };
            let Next::Retry(asked) = next else { return Err(error) };
            if attempt == most {
                return Err(error);
            }
            let pause = retry::pause(attempt, asked);
            // A pause beyond the deadline would only delay the same answer.
            if Instant::now() + pause >= end {
                return Err(error);
            }
            *last = Some(error);
            sleep(pause).await;
        }
        Ok(())
    }

    async fn attempt(&self, destination: &Destination, packed: &Packed) -> Result<(), Failure> {
        // The semaphore is never closed; without a permit the post would still be right, only less orderly.
        let _permit = self.posts.acquire().await.ok();
        let response = self.post(destination, packed).await.map_err(|source| {
            let error = ExportError::Transport { url: destination.public_url(), source };
            Failure { next: next(&error, false, None), error }
        })?;
        let asked = retry_after(response.headers().get(RETRY_AFTER), OffsetDateTime::now_utc());
        let retryable = retry::is_retryable(response.status());
        response::judge(response, destination, asked)
            .await
            .map_err(|error| Failure { next: next(&error, retryable, asked), error })
    }

    /// A redirect is an answer: nobody follows one with a tenant's key.
    async fn post(&self, destination: &Destination, packed: &Packed) -> Result<Response, ClientError> {
        let request = self.request(destination, packed).build()?;
        self.client.execute(request, Redirects::Answer).await
    }

    fn request(&self, destination: &Destination, packed: &Packed) -> reqwest::RequestBuilder {
        let request = self
            .client
            .request(Method::POST, destination.url().clone())
            .headers(destination.headers().clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, AGENT)
            .timeout(ATTEMPT_TIMEOUT)
            .body(packed.body.clone());
        if packed.gzip { request.header(CONTENT_ENCODING, "gzip") } else { request }
    }
}

fn out_of_time(destination: &Destination, deadline: Duration, last: Option<ExportError>) -> ExportError {
    ExportError::Deadline { url: destination.public_url(), deadline, last: last.map(Box::new) }
}

fn next(error: &ExportError, retryable: bool, asked: Option<Duration>) -> Next {
    match error {
        ExportError::Transport { source: ClientError::Http(_), .. } => Next::Retry(None),
        ExportError::Status { .. } if retryable => Next::Retry(asked),
        _ => Next::GiveUp,
    }
}
