//! The agent's move: a turn of the target, in as many calls as it takes.

use std::sync::Arc;
use std::time::Duration;

use super::turns::{MAX_TRANSCRIPT_BYTES, said_end, too_long};
use super::{Simulation, SimulationStop};
use crate::events::{MessageRole, TokenUsage};
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Admission, Both, TotalWait};
use crate::execution::ports::{OnUnknown, RunSpan, TargetReply, TargetTurn};
use crate::execution::types::{Conversation, Message, OpenTurn, SpanStart};

/// What became of a worker that did not record how a call ended.
const LOST: &str = "lost, or stopped at once,";

impl Simulation<'_> {
    pub(super) async fn agent_answers(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), SimulationStop> {
        self.open_target_call(conversation).await?;
        let transcript: Arc<[Message]> = conversation.messages.as_slice().into();
        let target = self.request.target.clone();
        let span = turn.child(SpanStart::Target { target, transcript: Arc::clone(&transcript) });
        let reply = self.whole_reply(conversation, &transcript, span.as_ref()).await;
        conversation.target_turn = None;
        let reply = match reply {
            Err(stop @ SimulationStop::Journal(_)) => return Err(stop),
            Err(SimulationStop::Failure(failure)) => Err(failure),
            Ok(reply) => Ok(reply),
        };
        let unknown = reply.as_ref().is_ok_and(|reply| reply.tool_calls_unknown);
        let report = self.report_of(span.as_ref(), unknown);
        span.end(said_end(&reply));
        self.append(conversation, MessageRole::Assistant, reply?)?;
        let index = u32::try_from(conversation.messages.len() - 1).unwrap_or(u32::MAX);
        conversation.reports.extend(report.map(|report| (index, report)));
        Ok(())
    }

    /// A turn may take several calls. Each is a step of its own: it is paid, kept, and not made again once it is.
    async fn whole_reply(
        &self,
        conversation: &mut Conversation,
        transcript: &Arc<[Message]>,
        span: &dyn RunSpan,
    ) -> Result<TargetReply, SimulationStop> {
        let mut usage = TokenUsage::default();
        loop {
            let reply = self.one_reply(conversation, transcript, span).await?;
            usage.add(reply.usage);
            let Some(reply) = keep_open(conversation, TargetReply { usage, ..reply })? else {
                self.record(conversation).await?;
                self.purse(conversation).afford_now()?;
                self.open_target_call(conversation).await?;
                continue;
            };
            return Ok(reply);
        }
    }

    async fn one_reply(
        &self,
        conversation: &mut Conversation,
        transcript: &Arc<[Message]>,
        span: &dyn RunSpan,
    ) -> Result<TargetReply, RunFailure> {
        let mut reply = self.ask_target(conversation, transcript, span).await;
        if let Some(session) = reply.as_mut().ok().and_then(|reply| reply.session.take()) {
            conversation.session = Some(session);
        }
        let unknown = reply.as_ref().is_ok_and(|reply| reply.tool_calls_unknown);
        conversation.tool_calls_unknown |= unknown && self.report_of(span, unknown).is_none();
        let tokens = reply.as_ref().map(|reply| reply.usage).unwrap_or_default();
        conversation.usage.target.add(TokenUsage { calls: 1, ..tokens });
        conversation.target_call_open = false;
        reply
    }

    /// A target that must not be called twice is called only after the intention is recorded.
    async fn open_target_call(&self, conversation: &mut Conversation) -> Result<(), SimulationStop> {
        if self.plan.target.on_unknown() == OnUnknown::Retry {
            return Ok(());
        }
        if conversation.target_call_open {
            return Err(RunFailure::target_call_unknown(LOST).into());
        }
        conversation.target_call_open = true;
        Ok(self.record(conversation).await?)
    }

    /// The time that the agent took is the caller's without what was waited for, unless the adapter knows better.
    async fn ask_target(
        &self,
        conversation: &Conversation,
        transcript: &Arc<[Message]>,
        span: &dyn RunSpan,
    ) -> Result<TargetReply, RunFailure> {
        let (began, waited) = (self.clock.now(), TotalWait::default());
        let told = Both(self.progress, &waited);
        let (run, admission) = (&self.request.key, Admission::watched_by(&told));
        let (turn, session) = (conversation.turn, conversation.session.as_ref());
        let open = conversation.target_turn.as_ref().filter(|open| open.messages == transcript.len());
        let so_far = open.map(|open| &open.state);
        let turn = TargetTurn { run, turn, transcript, span, session, admission, so_far };
        let mut reply = self.plan.target.reply(turn).await?;
        let took: Duration = (self.clock.now() - began).try_into().unwrap_or_default();
        reply.latency.get_or_insert(took.saturating_sub(waited.get()));
        reply.tool_calls_unknown |= !self.plan.target.reports_tool_calls();
        Ok(reply)
    }
}

/// Keeps where the target's turn stands if `reply` leaves it open; else the reply, with what the whole turn took.
fn keep_open(
    conversation: &mut Conversation,
    mut reply: TargetReply,
) -> Result<Option<TargetReply>, RunFailure> {
    let messages = conversation.messages.len();
    let before = conversation.target_turn.take().filter(|open| open.messages == messages);
    let took = before.as_ref().map_or(Duration::ZERO, |open| open.latency);
    let first_words = reply.first_chunk.map(|later| took + later);
    let first_chunk = before.and_then(|open| open.first_chunk).or(first_words);
    let latency = took + reply.latency.unwrap_or_default();
    let Some(state) = reply.unfinished.take() else {
        return Ok(Some(TargetReply { latency: Some(latency), first_chunk, ..reply }));
    };
    if state.to_string().len() > MAX_TRANSCRIPT_BYTES {
        return Err(too_long("What the agent did in one turn"));
    }
    conversation.target_turn = Some(Box::new(OpenTurn { messages, state, latency, first_chunk }));
    Ok(None)
}
