//! The one sender of all runs.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::Response;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};

use super::lanes::{Lane, Lanes};
use super::payload::{Packed, compress};
use super::{Destination, ExportError, response, retry};
use crate::egress::{Client, ClientError, Redirects, retry_after};
use crate::events::ProjectId;

/// Time for one attempt, connection included. A server that needs longer is treated as gone.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who posts, as endpoints see it.
pub(in crate::telemetry) const AGENT: &str = concat!("scenario-worker/", env!("CARGO_PKG_VERSION"));

/// Posts spans. It belongs to no tenant: where to and with what key comes with each call.
#[derive(Debug, Clone)]
pub struct OtlpSender {
    client: Client,
    lanes: Arc<Lanes>,
}

/// The endpoint has every span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What it had to say about them all the same, cut.
    pub warning: Option<String>,
}

/// How often a request is posted that may go better next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// Once.
    One,
    /// Until there is no time left, or it makes no sense any more.
    Several,
    /// As several, but a server may take all the time there is for one.
    Patient,
}

impl Attempts {
    fn most(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Several | Self::Patient => retry::MAX_ATTEMPTS,
        }
    }

    /// Time for one of them, if there is `deadline` for all.
    fn time(self, deadline: Duration) -> Duration {
        match self {
            Self::One | Self::Several => ATTEMPT_TIMEOUT,
            Self::Patient => deadline,
        }
    }
}

/// A request on its way.
struct Errand<'a> {
    destination: &'a Destination,
    packed: &'a Packed,
    lane: Arc<Lane>,
    /// How often it is posted.
    most: u32,
    /// Time for one attempt.
    time: Duration,
    end: Instant,
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
        Self { client, lanes: Arc::new(Lanes::new()) }
    }

    /// Posts an encoded request of `project` until it is taken, refused for good, tried often enough, or `deadline` has
    /// passed.
    ///
    /// # Errors
    /// [`ExportError`] that says what the endpoint did.
    pub(crate) async fn send(
        &self,
        project: &ProjectId,
        destination: &Destination,
        body: Vec<u8>,
        deadline: Duration,
        attempts: Attempts,
    ) -> Result<Accepted, ExportError> {
        let end = Instant::now() + deadline;
        let Ok(packed) = timeout(deadline, compress(body)).await else {
            return Err(out_of_time(destination, deadline, None));
        };
        self.send_packed(
            project,
            destination,
            packed,
            end.saturating_duration_since(Instant::now()),
            attempts,
        )
        .await
    }

    /// As [`OtlpSender::send`], for a request that was packed before.
    ///
    /// # Errors
    /// [`ExportError`] that says what the endpoint did.
    pub(crate) async fn send_packed(
        &self,
        project: &ProjectId,
        destination: &Destination,
        packed: Packed,
        deadline: Duration,
        attempts: Attempts,
    ) -> Result<Accepted, ExportError> {
        let errand = Errand {
            destination,
            packed: &packed,
            lane: self.lanes.lane(project, destination),
            most: attempts.most(),
            time: attempts.time(deadline),
            end: Instant::now() + deadline,
        };
        let mut last = None;
        let ended = timeout(deadline, self.run(&errand, &mut last)).await;
        ended.unwrap_or_else(|_| Err(out_of_time(destination, deadline, last)))
    }

    async fn run(
        &self,
        errand: &Errand<'_>,
        last: &mut Option<ExportError>,
    ) -> Result<Accepted, ExportError> {
        let mut attempt = 1;
        loop {
            let Failure { error, next } = match self.attempt(errand).await {
                Ok(accepted) => return Ok(accepted),
                Err(failure) => failure,
            };
            let Next::Retry(asked) = next else { return Err(error) };
            let pause = retry::pause(attempt, asked);
            // A pause beyond the deadline would only delay the same answer.
            if attempt == errand.most || Instant::now() + pause >= errand.end {
                return Err(error);
            }
            attempt += 1;
            *last = Some(error);
            sleep(pause).await;
        }
    }

    async fn attempt(&self, errand: &Errand<'_>) -> Result<Accepted, Failure> {
        let _place = errand.lane.enter().await;
        let response = self.post(errand).await.map_err(|source| {
            let error = ExportError::Transport { url: errand.destination.public_url(), source };
            Failure { next: next(&error, false, None), error }
        })?;
        let asked = retry_after(response.headers().get(RETRY_AFTER), OffsetDateTime::now_utc());
        let retryable = retry::is_retryable(response.status());
        response::judge(response, errand.destination, asked)
            .await
            .map_err(|error| Failure { next: next(&error, retryable, asked), error })
    }

    /// A redirect is an answer: nobody follows one with a tenant's key.
    async fn post(&self, errand: &Errand<'_>) -> Result<Response, ClientError> {
        let request = self.request(errand).build()?;
        self.client.execute(request, Redirects::Answer).await
    }

    fn request(&self, errand: &Errand<'_>) -> reqwest::RequestBuilder {
        let Errand { destination, packed, time, .. } = errand;
        let request = self
            .client
            .request(Method::POST, destination.url().clone())
            .headers(destination.headers().clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, AGENT)
            .timeout(*time)
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
