//! One run's HTTP agent: its turns, and what comes before the first and after the last of them.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::caller::{Caller, Means, Wired};
use super::endpoint::Endpoint;
use super::exchange::Exchange;
use super::question::HttpQuestions;
use super::request::{Filling, usual_body};
use super::response;
use super::session::{Kept, SessionPlan};
use super::templates::RequestTemplates;
use super::tokens::Tokens;
use super::transport::Received;
use crate::adapters::template::{Variables, trace_context};
use crate::events::{BaggageKey, baggage};
use crate::execution::failure::RunFailure;
use crate::execution::limits::Admission;
use crate::execution::ports::{
    Clock, OnUnknown, SessionCall, TargetAdapter, TargetQuestions as _, TargetReply, TargetTurn,
};
use crate::execution::types::Session;
use crate::scrub::Scrubber;

/// An HTTP agent in one run.
pub(super) struct HttpAdapter {
    pub(super) wired: Wired,
    pub(super) endpoint: Endpoint,
    pub(super) parameters: Map<String, Value>,
    /// What a recording keeps of the requests, where that is known.
    pub(super) questions: Option<HttpQuestions>,
    pub(super) scrubber: Scrubber,
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) baggage: Arc<[BaggageKey]>,
}

impl HttpAdapter {
    /// What requests are sent with.
    pub(super) fn caller<'a>(
        &'a self,
        session: Option<&Session>,
        admission: Admission<'a>,
    ) -> Result<Caller<'a>, RunFailure> {
        let means = Means {
            wired: &self.wired,
            tokens: &self.tokens,
            clock: self.clock.as_ref(),
            limits: &self.endpoint.reply.limits,
            admission,
            keeps_cookies: self.endpoint.session.as_ref().is_some_and(SessionPlan::keeps_cookies),
        };
        Ok(Caller::new(means, Kept::of(session)?, &self.scrubber))
    }

    async fn ask(&self, turn: &TargetTurn<'_>, caller: &mut Caller<'_>) -> Result<TargetReply, RunFailure> {
        let before = caller.kept().clone();
        let filling = Filling {
            usual_body: Some(usual_body(turn)),
            ..self.filling(turn, &turn.turn.to_string(), &before.captured)
        };
        let request = filling.build(&self.endpoint.request)?;
        let variables = || self.variables(turn, &before.captured);
        let exchange = Exchange { caller: &mut *caller, rules: &self.endpoint.reply, variables: &variables };
        // An agent that echoes its credentials must not put them into events and spans.
        let reply = exchange.run(request).await?;
        let session = (*caller.kept() != before).then(|| caller.kept().to_session());
        Ok(TargetReply { session, ..caller.scrubber().clean_reply(reply) })
    }

    async fn start(
        &self,
        plan: &SessionPlan,
        call: SessionCall<'_>,
        caller: &mut Caller<'_>,
    ) -> Result<(), RunFailure> {
        let Some(templates) = &plan.start else { return Ok(()) };
        let received = self.step(templates, "start", call, caller).await?;
        caller.kept_mut().captured = plan.capture(&received)?;
        Ok(())
    }

    /// A request that is no turn, whose answer has to be a success.
    async fn step(
        &self,
        templates: &RequestTemplates,
        name: &str,
        call: SessionCall<'_>,
        caller: &mut Caller<'_>,
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
            so_far: None,
        };
        let request = self.filling(&turn, name, &caller.kept().captured).build(templates)?;
        let received = caller.fetch(&request).await?;
        if received.status.is_success() {
            return Ok(received);
        }
        Err(response::status_failure(&received, caller.scrubber()))
    }

    /// What a request is filled in with, which is the same whenever `step` is repeated.
    pub(super) fn filling(
        &self,
        turn: &TargetTurn<'_>,
        step: &str,
        captured: &Map<String, Value>,
    ) -> Filling {
        Filling {
            variables: self.variables(turn, captured),
            trace: trace_context(turn),
            baggage: baggage(&self.baggage, turn.run),
            idempotency_key: format!("{}:{step}", turn.run.run),
            usual_body: None,
            repeatable: self.endpoint.on_unknown == OnUnknown::Retry,
            proof: self.endpoint.auth.header(),
        }
    }

    /// What templates read.
    pub(super) fn variables(&self, turn: &TargetTurn<'_>, captured: &Map<String, Value>) -> Variables {
        self.endpoint.variables(turn, &self.parameters, captured)
    }
}

#[async_trait]
impl TargetAdapter for HttpAdapter {
    fn on_unknown(&self) -> OnUnknown {
        self.endpoint.on_unknown
    }

    fn reports_tool_calls(&self) -> bool {
        self.endpoint.reply.tool_calls.is_some()
    }

    fn continues_trace(&self) -> bool {
        true
    }

    fn scrub(&self, told: &mut Value) {
        self.scrubber.scrub_told(told);
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.questions.as_ref()?.asked(turn)
    }

    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        let Some(plan) = &self.endpoint.session else { return Ok(None) };
        let mut caller = self.caller(None, Admission::default())?;
        let started = self.start(plan, call, &mut caller).await;
        let session = started.map(|()| Some(caller.kept().to_session()));
        session.map_err(|failure| saying("The agent's session could not be started", &caller, failure))
    }

    async fn end(&self, call: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        let end = self.endpoint.session.as_ref().and_then(|plan| plan.end.as_ref());
        let Some(templates) = end else { return Ok(()) };
        let mut caller = self.caller(Some(&session), Admission::default())?;
        let ended = self.step(templates, "end", call, &mut caller).await.map(drop);
        ended.map_err(|failure| saying("The agent's session could not be ended", &caller, failure))
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let mut caller = self.caller(turn.session, turn.admission)?;
        let reply = self.ask(&turn, &mut caller).await;
        reply.map_err(|failure| caller.scrubber().clean(failure))
    }
}

fn saying(what: &str, caller: &Caller<'_>, mut failure: RunFailure) -> RunFailure {
    failure.message = format!("{what}: {}", failure.message);
    caller.scrubber().clean(failure)
}
