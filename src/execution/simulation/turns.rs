//! Turns: the customer speaks, the agent answers, the judge decides whether that is enough.

use std::sync::Arc;

use super::script::step_done;
use super::user_simulator::Customer;
use super::{Played, Simulation, SimulationStop, seen};
use crate::definitions::{Opening, ProceedStep};
use crate::events::{Attribution, MessageRole, TokenUsage};
use crate::execution::checks::{self, Standing};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::{RunSpan, TargetReply};
use crate::execution::types::{Conversation, Message, SpanEnd, SpanStart, Step};

/// The most that may be said in one run, in bytes: twice the largest answer of an HTTP agent, and more than a model reads.
pub(super) const MAX_TRANSCRIPT_BYTES: usize = 8 * 1024 * 1024;

impl Step {
    /// Whose move it is when this one has had theirs.
    pub(super) fn after(self) -> Self {
        match self {
            Self::UserSimulator => Self::Target,
            Self::Target => Self::Judge,
            Self::Judge | Self::Verdict => Self::UserSimulator,
        }
    }
}

impl Simulation<'_> {
    /// Makes it the move of `role`: later in this turn if it has not had its move, else in a new turn. False if
    /// there are no more turns.
    pub(super) fn give_floor(&self, conversation: &mut Conversation, role: Step) -> bool {
        let begun = conversation.next != Step::UserSimulator;
        if !begun || role < conversation.next {
            if conversation.turn >= self.plan.brief.max_turns {
                return false;
            }
            conversation.turn += 1;
        }
        conversation.next = role;
        true
    }

    /// Lets the conversation go on by itself, for as far as `step` says.
    pub(super) async fn proceed(&self, conversation: &mut Conversation, step: &ProceedStep) -> Played {
        if conversation.script.turns_left.is_none() {
            conversation.script.turns_left = step.turns;
        }
        while conversation.script.turns_left != Some(0) && !self.has_come(conversation, step).await? {
            let begun = conversation.next != Step::UserSimulator;
            if !begun && !self.give_floor(conversation, self.opener(conversation)) {
                return self.last_word(conversation).await;
            }
            let span = self.turn_span(conversation);
            let rest = self.rest_of_turn(conversation, step, span.as_ref()).await;
            if let Some(judgement) = self.end_turn(span, rest).await? {
                return Ok(Some(judgement));
            }
        }
        step_done(conversation);
        self.record(conversation).await?;
        Ok(None)
    }

    async fn has_come(
        &self,
        conversation: &mut Conversation,
        step: &ProceedStep,
    ) -> Result<bool, SimulationStop> {
        let Some(check) = &step.until else { return Ok(false) };
        self.hear_target_for(check, conversation).await?;
        Ok(checks::examine(check, &seen(conversation).observed()).standing == Standing::Holds)
    }

    fn opener(&self, conversation: &Conversation) -> Step {
        let scenario = &self.plan.brief.scenario;
        match scenario.starts {
            Opening::Agent if conversation.turn == 0 && scenario.script.is_empty() => Step::Target,
            Opening::Agent | Opening::User => Step::UserSimulator,
        }
    }

    /// A span for what is played of the turn that has begun.
    pub(super) fn turn_span(&self, conversation: &Conversation) -> Box<dyn RunSpan> {
        self.trace.root().child(SpanStart::Turn { number: conversation.turn })
    }

    /// Ends the span of a turn of which `result` came, and sends what there is of the trace if the run goes on.
    pub(super) async fn end_turn(&self, span: Box<dyn RunSpan>, result: Played) -> Played {
        span.end(match &result {
            Err(SimulationStop::Failure(failure)) => failure.into(),
            _ => SpanEnd::Done,
        });
        if result.as_ref().is_ok_and(Option::is_none) {
            self.trace.flush().await;
        }
        result
    }

    /// Plays the rest of a turn, from the move that is next.
    async fn rest_of_turn(
        &self,
        conversation: &mut Conversation,
        step: &ProceedStep,
        span: &dyn RunSpan,
    ) -> Played {
        while conversation.next < Step::Judge {
            self.speaks(conversation, conversation.next, span).await?;
            self.record(conversation).await?;
            if self.has_come(conversation, step).await? {
                return Ok(None);
            }
        }
        let judged = self.judge_decides(conversation, span).await?;
        if judged.is_none() {
            conversation.next = Step::Judge.after();
            conversation.script.turns_left =
                conversation.script.turns_left.map(|left| left.saturating_sub(1));
            self.record(conversation).await?;
        }
        Ok(judged)
    }

    /// Lets customer or agent say something.
    pub(super) async fn speaks(
        &self,
        conversation: &mut Conversation,
        role: Step,
        turn: &dyn RunSpan,
    ) -> Result<(), SimulationStop> {
        self.purse(conversation).afford_now()?;
        match role {
            Step::UserSimulator => self.customer_speaks(conversation, turn).await?,
            Step::Target => self.agent_answers(conversation, turn).await?,
            Step::Judge | Step::Verdict => {}
        }
        conversation.next = role.after();
        Ok(())
    }

    async fn customer_speaks(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), RunFailure> {
        let messages: Arc<[Message]> = conversation.messages.as_slice().into();
        let span = turn.child(SpanStart::UserSimulator { transcript: Arc::clone(&messages) });
        let purse = self.purse(conversation);
        let model = &self.watched(&self.plan.user_simulator, &purse);
        let scenario = &self.plan.brief.scenario;
        let (turn, span_ref, mut usage) = (conversation.turn, span.as_ref(), TokenUsage::default());
        let customer = Customer { model, scenario, turn, messages: &messages, span: span_ref };
        let line = customer.speak(&mut usage).await;
        conversation.usage.user_simulator.add(usage);
        let said = line.map(|content| TargetReply { content, usage, ..TargetReply::default() });
        span.end(said_end(&said));
        self.append(conversation, MessageRole::User, said?)
    }

    /// Everything that is said is kept, stored and sent to models again and again, so there is an end to it.
    pub(super) fn append(
        &self,
        conversation: &mut Conversation,
        role: MessageRole,
        said: TargetReply,
    ) -> Result<(), RunFailure> {
        // What a script says before anybody's move belongs to the first turn.
        let (turn, at) = (conversation.turn.max(1), self.clock.now());
        let size: usize = conversation.messages.iter().map(|message| message.content.len()).sum();
        if size + said.content.len() > MAX_TRANSCRIPT_BYTES {
            return Err(too_long("The conversation"));
        }
        let TargetReply { content, tool_calls, latency, .. } = said;
        let latency_ms = latency.map(|latency| latency.as_millis().try_into().unwrap_or(u64::MAX));
        conversation.messages.push(Message { turn, role, content, tool_calls, at, latency_ms });
        Ok(())
    }
}

pub(super) fn too_long(what: &str) -> RunFailure {
    let message = format!("{what} is longer than {MAX_TRANSCRIPT_BYTES} bytes");
    RunFailure::new(code::TRANSCRIPT_TOO_LARGE, Attribution::Target, message)
        .with_hint("Let the agent answer more briefly.")
}

pub(super) fn said_end(said: &Result<TargetReply, RunFailure>) -> SpanEnd {
    match said {
        Ok(TargetReply { content, tool_calls, usage, first_chunk, .. }) => SpanEnd::Said {
            content: content.clone(),
            tool_calls: tool_calls.clone(),
            usage: *usage,
            first_chunk: *first_chunk,
        },
        Err(failure) => failure.into(),
    }
}
