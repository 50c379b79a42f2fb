//! Turns: the customer speaks, the agent answers, the judge decides whether that is enough.

use std::sync::Arc;

use super::judge::{Judge, Ruling};
use super::user_simulator::Customer;
use crate::events::{MessageRole, RunRequest, TokenUsage};
use crate::execution::failure::RunFailure;
use crate::execution::planner::RunPlan;
use crate::execution::ports::{
    Clock, JournalError, RunJournal, RunSpan, RunTrace, TargetReply, TargetTurn, TraceNote,
};
use crate::execution::types::{Conversation, Criterion, Judgement, Message, SpanEnd, SpanStart, Step};

/// Why a simulation ended without a judgement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulationStop {
    /// Somebody failed: an outcome.
    #[error(transparent)]
    Failure(#[from] RunFailure),
    /// The run may not go on here.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// One run's conversation and everything that it needs.
pub(crate) struct Simulation<'a> {
    /// What was asked for.
    pub(crate) request: &'a RunRequest,
    /// Everything that was resolved for it.
    pub(crate) plan: &'a RunPlan,
    /// The scenario's criteria, numbered.
    pub(crate) criteria: Arc<[Criterion]>,
    /// Where progress is recorded.
    pub(crate) journal: &'a dyn RunJournal,
    /// The run's trace.
    pub(crate) trace: &'a dyn RunTrace,
    /// What its events say of the trace.
    pub(crate) note: &'a TraceNote,
    /// Tells when something was said.
    pub(crate) clock: &'a dyn Clock,
}

impl Simulation<'_> {
    /// Plays from wherever `conversation` stands until there is a judgement.
    pub(crate) async fn play(&self, conversation: &mut Conversation) -> Result<Judgement, SimulationStop> {
        if let Some(judgement) = &conversation.judgement {
            return Ok(judgement.clone());
        }
        loop {
            if conversation.next == Step::UserSimulator {
                conversation.turn += 1;
            }
            let span = self.trace.root().child(SpanStart::Turn { number: conversation.turn });
            let result = self.turn(conversation, span.as_ref()).await;
            span.end(match &result {
                Err(SimulationStop::Failure(failure)) => failure.into(),
                _ => SpanEnd::Done,
            });
            if let Some(judgement) = result? {
                return Ok(judgement);
            }
            self.trace.flush().await;
        }
    }

    /// Plays the rest of a turn, from the step that is next.
    async fn turn(
        &self,
        conversation: &mut Conversation,
        span: &dyn RunSpan,
    ) -> Result<Option<Judgement>, SimulationStop> {
        loop {
            match conversation.next {
                Step::UserSimulator => self.customer_speaks(conversation, span).await?,
                Step::Target => self.agent_answers(conversation, span).await?,
                Step::Judge | Step::Verdict => return self.judge_decides(conversation, span).await,
            }
            self.journal.advanced(conversation, self.note).await?;
        }
    }

    async fn customer_speaks(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), RunFailure> {
        let messages: Arc<[Message]> = conversation.messages.as_slice().into();
        let span = turn.child(SpanStart::UserSimulator { transcript: Arc::clone(&messages) });
        let (model, situation) = (self.plan.user_simulator.as_ref(), self.plan.scenario.situation.as_str());
        let customer =
            Customer { model, situation, turn: conversation.turn, messages: &messages, span: span.as_ref() };
        let mut usage = TokenUsage::default();
        let line = customer.speak(&mut usage).await;
        conversation.usage.user_simulator.add(usage);
        let said = line.map(|content| TargetReply { content, usage, ..TargetReply::default() });
        span.end(said_end(&said));
        self.append(conversation, MessageRole::User, said?);
        conversation.next = Step::Target;
        Ok(())
    }

    async fn agent_answers(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), RunFailure> {
        let transcript: Arc<[Message]> = conversation.messages.as_slice().into();
        let target = self.request.target.clone();
        let span = turn.child(SpanStart::Target { target, transcript: Arc::clone(&transcript) });
        let reply = self.ask_target(conversation.turn, &transcript, span.as_ref()).await;
        let tokens = reply.as_ref().map(|reply| reply.usage).unwrap_or_default();
        conversation.usage.target.add(TokenUsage { calls: 1, ..tokens });
        span.end(said_end(&reply));
        self.append(conversation, MessageRole::Assistant, reply?);
        conversation.next = Step::Judge;
        Ok(())
    }

    async fn ask_target(
        &self,
        turn: u32,
        transcript: &Arc<[Message]>,
        span: &dyn RunSpan,
    ) -> Result<TargetReply, RunFailure> {
        self.plan.target.reply(TargetTurn { run: &self.request.key, turn, transcript, span }).await
    }

    async fn judge_decides(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<Option<Judgement>, SimulationStop> {
        let limits = self.plan.limits;
        let last_of = (conversation.turn >= limits.max_turns).then_some(limits.max_turns);
        if conversation.turn < limits.min_turns && last_of.is_none() {
            return self.go_on(conversation).await;
        }
        match self.ask_judge(conversation, turn, last_of).await? {
            Ruling::Final(judgement) => self.conclude(conversation, judgement).await.map(Some),
            Ruling::Continue(_) => self.go_on(conversation).await,
        }
    }

    /// Kept, because delivering the spans may take long before the outcome is published.
    async fn conclude(
        &self,
        conversation: &mut Conversation,
        judgement: Judgement,
    ) -> Result<Judgement, SimulationStop> {
        conversation.judgement = Some(judgement.clone());
        self.journal.advanced(conversation, self.note).await?;
        Ok(judgement)
    }

    async fn go_on(&self, conversation: &mut Conversation) -> Result<Option<Judgement>, SimulationStop> {
        conversation.next = Step::UserSimulator;
        self.journal.advanced(conversation, self.note).await?;
        Ok(None)
    }

    async fn ask_judge(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
        last_of: Option<u32>,
    ) -> Result<Ruling, SimulationStop> {
        let (messages, criteria) = (Arc::from(conversation.messages.as_slice()), &self.criteria);
        let span = turn
            .child(SpanStart::Judge { transcript: Arc::clone(&messages), criteria: Arc::clone(criteria) });
        let (model, situation) = (self.plan.judge.as_ref(), self.plan.scenario.situation.as_str());
        let (turn, messages, span_ref) = (conversation.turn, &messages, span.as_ref());
        let judge = Judge { model, situation, criteria, turn, messages, span: span_ref, last_of };
        let ruling = self.hear(&judge, conversation).await;
        span.end(end_of(&ruling));
        ruling
    }

    /// Whether there is enough is asked in a call of its own, and its answer is kept before the verdict is asked for.
    async fn hear(
        &self,
        judge: &Judge<'_>,
        conversation: &mut Conversation,
    ) -> Result<Ruling, SimulationStop> {
        if conversation.next == Step::Judge && judge.last_of.is_none() {
            let mut usage = TokenUsage::default();
            let more = judge.wants_more(&mut usage).await;
            conversation.usage.judge.add(usage);
            if let Some(reasoning) = more? {
                return Ok(Ruling::Continue(reasoning));
            }
            conversation.next = Step::Verdict;
            self.journal.advanced(conversation, self.note).await?;
        }
        let mut usage = TokenUsage::default();
        let ruling = judge.rule(&mut usage).await;
        conversation.usage.judge.add(usage);
        Ok(ruling?)
    }

    fn append(&self, conversation: &mut Conversation, role: MessageRole, said: TargetReply) {
        let (turn, at) = (conversation.turn, self.clock.now());
        conversation.messages.push(Message {
            turn,
            role,
            content: said.content,
            tool_calls: said.tool_calls,
            at,
        });
    }
}

fn end_of(ruling: &Result<Ruling, SimulationStop>) -> SpanEnd {
    match ruling {
        Ok(Ruling::Final(judgement)) => SpanEnd::Judged(judgement.clone()),
        Ok(Ruling::Continue(reasoning)) => SpanEnd::Continued { reasoning: reasoning.clone() },
        Err(SimulationStop::Failure(failure)) => failure.into(),
        Err(SimulationStop::Journal(_)) => SpanEnd::Done,
    }
}

fn said_end(said: &Result<TargetReply, RunFailure>) -> SpanEnd {
    match said {
        Ok(TargetReply { content, tool_calls, usage }) => {
            SpanEnd::Said { content: content.clone(), tool_calls: tool_calls.clone(), usage: *usage }
        }
        Err(failure) => failure.into(),
    }
}
