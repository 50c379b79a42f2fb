//! One run's HTTP agent: its turns, and what comes before the first and after the last of them.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::{Map, Value};

use super::auth::bearer;
use super::endpoint::Endpoint;
use super::oauth2::Grant;
use super::request::{Filling, usual_body};
use super::response;
use super::session::{Kept, SessionPlan};
use super::templates::RequestTemplates;
use super::tokens::Tokens;
use super::transport::{self, Received};
use crate::adapters::template::{Variables, trace_context};
use crate::definitions::Secret;
use crate::egress::Client;
use crate::events::{BaggageKey, baggage};
use crate::execution::failure::RunFailure;
use crate::execution::limits::Admission;
use crate::execution::ports::{Clock, OnUnknown, SessionCall, TargetAdapter, TargetReply, TargetTurn};
use crate::execution::types::Session;
use crate::scrub::Scrubber;

/// The variable that holds what the session has captured.
const CAPTURED: &str = "captured";

/// How an agent is reached.
pub(super) struct Wired {
    pub(super) client: Client,
    /// What tokens are fetched with, where it takes any.
    pub(super) grant: Option<Grant>,
}

/// An HTTP agent in one run.
pub(super) struct HttpAdapter {
    pub(super) wired: Wired,
    pub(super) endpoint: Endpoint,
    pub(super) parameters: Map<String, Value>,
    pub(super) scrubber: Scrubber,
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) baggage: Arc<[BaggageKey]>,
}

/// What one exchange goes on with, and what it must not show.
struct Exchange {
    kept: Kept,
    scrubber: Scrubber,
}

impl HttpAdapter {
    fn exchange(&self, session: Option<&Session>) -> Result<Exchange, RunFailure> {
        let kept = Kept::of(session)?;
        let credentials = kept.credentials();
        let scrubber = self.scrubber.with(credentials.iter().map(String::as_str));
        Ok(Exchange { kept, scrubber })
    }

    async fn ask(&self, turn: &TargetTurn<'_>, exchange: &mut Exchange) -> Result<TargetReply, RunFailure> {
        let filling = Filling {
            usual_body: Some(usual_body(turn)),
            ..self.filling(turn, &turn.turn.to_string(), exchange)
        };
        let before = exchange.kept.clone();
        let received = self.call(&self.endpoint.request, filling, exchange).await?;
        let content = response::read(&received, self.endpoint.output.as_ref(), &exchange.scrubber)?;
        let session = (exchange.kept != before).then(|| exchange.kept.to_session());
        // An agent that echoes its credentials must not put them into events and spans.
        Ok(exchange.scrubber.clean_reply(TargetReply { content, session, ..TargetReply::default() }))
    }

    async fn start(
        &self,
        plan: &SessionPlan,
        call: SessionCall<'_>,
        exchange: &mut Exchange,
    ) -> Result<(), RunFailure> {
        let Some(templates) = &plan.start else { return Ok(()) };
        let received = self.step(templates, "start", call, exchange).await?;
        exchange.kept.captured = plan.capture(&received)?;
        Ok(())
    }

    /// A request that is no turn, whose answer has to be a success.
    async fn step(
        &self,
        templates: &RequestTemplates,
        name: &str,
        call: SessionCall<'_>,
        exchange: &mut Exchange,
    ) -> Result<Received, RunFailure> {
        let nothing_said = Arc::from([]);
        let SessionCall { run, span } = call;
        let turn = TargetTurn {
            run,
            turn: 0,
            transcript: &nothing_said,
            span,
            session: None,
            admission: Admission::default(),
        };
        let filling = self.filling(&turn, name, exchange);
        let received = self.call(templates, filling, exchange).await?;
        if received.status.is_success() {
            return Ok(received);
        }
        Err(response::status_failure(&received, &exchange.scrubber))
    }

    fn filling(&self, turn: &TargetTurn<'_>, step: &str, exchange: &Exchange) -> Filling {
        let mut variables = Variables::of_turn(turn, &self.parameters);
        variables.bind_json(CAPTURED, &Value::Object(exchange.kept.captured.clone()));
        variables.bind_mapped(&self.endpoint.mappings, turn);
        Filling {
            variables,
            trace: trace_context(turn),
            baggage: baggage(&self.baggage, turn.run),
            idempotency_key: format!("{}:{step}", turn.run.run),
            usual_body: None,
            proof: self.endpoint.auth.header(),
        }
    }

    /// Sends a request. A token that is refused is fetched again, and the request sent once more.
    async fn call(
        &self,
        templates: &RequestTemplates,
        mut filling: Filling,
        exchange: &mut Exchange,
    ) -> Result<Received, RunFailure> {
        let Some(grant) = &self.wired.grant else { return self.send(templates, &filling, exchange).await };
        let token = self.token(grant, None, exchange).await?;
        filling.proof = Some(bearer(token.expose()));
        let received = self.send(templates, &filling, exchange).await?;
        if received.status != StatusCode::UNAUTHORIZED {
            return Ok(received);
        }
        let token = self.token(grant, Some(&token), exchange).await?;
        filling.proof = Some(bearer(token.expose()));
        self.send(templates, &filling, exchange).await
    }

    async fn token(
        &self,
        grant: &Grant,
        refused: Option<&Secret>,
        exchange: &mut Exchange,
    ) -> Result<Secret, RunFailure> {
        let token = self.tokens.token(grant, refused).await?;
        exchange.scrubber = exchange.scrubber.with([token.expose()]);
        Ok(token)
    }

    async fn send(
        &self,
        templates: &RequestTemplates,
        filling: &Filling,
        exchange: &mut Exchange,
    ) -> Result<Received, RunFailure> {
        let request = filling.build(templates, |url| exchange.kept.cookies.header(url, self.clock.now()))?;
        let received = transport::send(&self.wired.client, request, self.endpoint.timeout).await?;
        if self.endpoint.session.as_ref().is_some_and(SessionPlan::keeps_cookies) {
            exchange.kept.cookies.take(&received.headers, &received.url, self.clock.now());
            let credentials = exchange.kept.credentials();
            exchange.scrubber = exchange.scrubber.with(credentials.iter().map(String::as_str));
        }
        Ok(received)
    }
}

#[async_trait]
impl TargetAdapter for HttpAdapter {
    fn on_unknown(&self) -> OnUnknown {
        self.endpoint.on_unknown
    }

    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        let Some(plan) = &self.endpoint.session else { return Ok(None) };
        let mut exchange = self.exchange(None)?;
        let started = self.start(plan, call, &mut exchange).await;
        let session = started.map(|()| Some(exchange.kept.to_session()));
        session.map_err(|failure| saying("The agent's session could not be started", &exchange, failure))
    }

    async fn end(&self, call: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        let end = self.endpoint.session.as_ref().and_then(|plan| plan.end.as_ref());
        let Some(templates) = end else { return Ok(()) };
        let mut exchange = self.exchange(Some(&session))?;
        let ended = self.step(templates, "end", call, &mut exchange).await.map(drop);
        ended.map_err(|failure| saying("The agent's session could not be ended", &exchange, failure))
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let mut exchange = self.exchange(turn.session)?;
        let reply = self.ask(&turn, &mut exchange).await;
        reply.map_err(|failure| exchange.scrubber.clean(failure))
    }
}

fn saying(what: &str, exchange: &Exchange, mut failure: RunFailure) -> RunFailure {
    failure.message = format!("{what}: {}", failure.message);
    exchange.scrubber.clean(failure)
}
