//! Sending one run's requests: each with the run's cookies and its token, and what answers set is remembered.

use http::StatusCode;
use http::header::COOKIE;
use tokio::time::{Instant, timeout_at};

use super::attempt::Failed;
use super::auth::bearer;
use super::limits::Limits;
use super::no_reply::NoReply;
use super::oauth2::Grant;
use super::request::Outgoing;
use super::session::Kept;
use super::tokens::Tokens;
use super::transport::{self, Arrived, Received, shown};
use super::way::Way;
use crate::definitions::Secret;
use crate::egress::Client;
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Admission, Throttled};
use crate::execution::ports::Clock;
use crate::scrub::Scrubber;

/// How an agent is reached.
pub(super) struct Wired {
    pub(super) client: Client,
    /// What tokens are fetched with, where it takes any.
    pub(super) grant: Option<Grant>,
}

/// What a caller calls with.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) wired: &'a Wired,
    pub(super) tokens: &'a Tokens,
    pub(super) clock: &'a dyn Clock,
    pub(super) limits: &'a Limits,
    /// How often it may be called.
    pub(super) admission: Admission<'a>,
    /// Whether the run keeps cookies.
    pub(super) keeps_cookies: bool,
}

/// Sends the requests of one exchange, all of which end in time together. Waiting for the right to call is no part of it.
pub(super) struct Caller<'a> {
    means: Means<'a>,
    deadline: Instant,
    /// Who was asked first, as errors show it.
    place: Option<String>,
    kept: Kept,
    scrubber: Scrubber,
    /// Whether the token that was fetched last came in place of a refused one, and was not accepted yet.
    on_trial: bool,
}

impl<'a> Caller<'a> {
    /// A caller for a run that goes on with `kept`. `scrubber` knows every secret but those.
    pub(super) fn new(means: Means<'a>, kept: Kept, scrubber: &Scrubber) -> Self {
        let scrubber = scrubber.with(kept.credentials().iter().map(String::as_str));
        let deadline = Instant::now() + means.limits.total;
        Self { means, deadline, place: None, kept, scrubber, on_trial: false }
    }

    /// When everything has to be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What the run goes on with.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// As [`Caller::kept`], to change it.
    pub(super) fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Knows every secret that an answer may hold.
    pub(super) fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    /// Sends `request`, and takes all of its answer in; as much as is shown of one that is no success.
    pub(super) async fn fetch(&mut self, request: &Outgoing) -> Result<Received, RunFailure> {
        match timeout_at(self.deadline, self.whole(request)).await {
            Ok(received) => received.map_err(|failed| failed.into_failure(&self.scrubber)),
            Err(_) => Err(self.late(request)),
        }
    }

    async fn whole(&mut self, request: &Outgoing) -> Result<Received, Failed> {
        let limits = self.means.limits;
        let arrived = self.send(request).await?;
        if arrived.status.is_success() {
            return Ok(arrived.take(limits).await?);
        }
        Ok(arrived.take_shown(limits).await)
    }

    /// The time is over in which `request` was to be answered, or an earlier one that it looks for the answer to.
    pub(super) fn late(&self, request: &Outgoing) -> RunFailure {
        let place = self.place.clone().unwrap_or_else(|| shown(&self.means.wired.client, &request.url));
        NoReply::Timeout { place, limit: self.means.limits.total }.into()
    }

    /// Waits for the right to ask once more; `throttled` is what the agent said of the number of calls.
    pub(super) async fn admitted_again(&mut self, throttled: Option<Throttled>) {
        let began = Instant::now();
        self.means.admission.again(throttled).await;
        self.deadline += began.elapsed();
    }

    /// Sends `request` and waits for its answer to begin. A token that is refused is fetched again, and the request sent
    /// once more.
    pub(super) async fn send(&mut self, request: &Outgoing) -> Result<Arrived, Failed> {
        let client = &self.means.wired.client;
        self.place.get_or_insert_with(|| shown(client, &request.url));
        let grant = self.means.wired.grant.as_ref().filter(|_| request.takes_token);
        let Some(grant) = grant else { return self.send_as_is(request.clone()).await };
        let token = self.token(grant, None).await?;
        let arrived = self.send_proved(request, &token).await?;
        if arrived.status != StatusCode::UNAUTHORIZED {
            self.on_trial = false;
            return Ok(arrived);
        }
        if std::mem::replace(&mut self.on_trial, true) {
            return Ok(arrived);
        }
        let token = self.token(grant, Some(&token)).await?;
        let arrived = self.send_proved(request, &token).await?;
        self.on_trial = arrived.status == StatusCode::UNAUTHORIZED;
        Ok(arrived)
    }

    async fn send_proved(&mut self, request: &Outgoing, token: &Secret) -> Result<Arrived, Failed> {
        let request = request.clone().proved_by(&bearer(token.expose()))?;
        self.send_as_is(request).await
    }

    async fn send_as_is(&mut self, mut request: Outgoing) -> Result<Arrived, Failed> {
        let Means { wired, clock, limits, keeps_cookies, .. } = self.means;
        let own = request.headers.get(COOKIE).cloned();
        if let Some(cookies) = self.kept.cookies.header(&request.url, clock.now()) {
            request = request.with_cookies(&cookies)?;
        }
        let way = Way::new(&mut self.kept.cookies, keeps_cookies, clock.now(), own);
        let sent = transport::send(&wired.client, request, limits, way).await;
        if keeps_cookies {
            self.scrubber = self.scrubber.with(self.kept.credentials().iter().map(String::as_str));
        }
        Ok(sent?)
    }

    async fn token(&mut self, grant: &Grant, refused: Option<&Secret>) -> Result<Secret, RunFailure> {
        let fetched = timeout_at(self.deadline, self.means.tokens.token(grant, refused)).await;
        let token = fetched.map_err(|_| grant.late(self.means.limits.total))??;
        self.scrubber = self.scrubber.with([token.expose()]);
        Ok(token)
    }
}
