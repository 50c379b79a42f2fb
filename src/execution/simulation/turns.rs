//! Turns: the customer speaks, the agent answers, the judge decides whether that is enough.

use std::sync::Arc;

use super::judge::{Judge, Ruling};
use super::user_simulator::Customer;
use super::watched::WatchedModel;
use crate::events::{Attribution, MessageRole, RunRequest, TokenUsage, Verdict};
use crate::execution::failure::{RunFailure, code};
use crate::execution::planner::RunPlan;
use crate::execution::ports::{
    ChatModel, Clock, JournalError, OnUnknown, RunJournal, RunSpan, RunTrace, TargetReply, TargetTurn,
    TraceNote,
};
use crate::execution::signals::Progress;
use crate::execution::types::{Conversation, Criterion, Judgement, Message, SpanEnd, SpanStart, Step};

/// The most that may be said in one run, in bytes: twice the largest answer of an HTTP agent, and more than a model reads.
const MAX_TRANSCRIPT_BYTES: usize = 8 * 1024 * 1024;

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
    /// Is told whenever the run gets on.
    pub(crate) progress: &'a Progress,
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
            self.record(conversation).await?;
            self.progress.touch();
        }
    }

    async fn customer_speaks(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), RunFailure> {
        let messages: Arc<[Message]> = conversation.messages.as_slice().into();
        let span = turn.child(SpanStart::UserSimulator { transcript: Arc::clone(&messages) });
        let (model, situation) =
            (&self.watched(&self.plan.user_simulator), &self.plan.brief.scenario.situation);
        let (turn, span_ref, mut usage) = (conversation.turn, span.as_ref(), TokenUsage::default());
        let customer = Customer { model, situation, turn, messages: &messages, span: span_ref };
        let line = customer.speak(&mut usage).await;
        conversation.usage.user_simulator.add(usage);
        let said = line.map(|content| TargetReply { content, usage, ..TargetReply::default() });
        span.end(said_end(&said));
        self.append(conversation, MessageRole::User, said?)?;
        conversation.next = Step::Target;
        Ok(())
    }

    async fn agent_answers(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
    ) -> Result<(), SimulationStop> {
        self.open_target_call(conversation).await?;
        let transcript: Arc<[Message]> = conversation.messages.as_slice().into();
        let target = self.request.target.clone();
        let span = turn.child(SpanStart::Target { target, transcript: Arc::clone(&transcript) });
        let reply = self.ask_target(conversation.turn, &transcript, span.as_ref()).await;
        let tokens = reply.as_ref().map(|reply| reply.usage).unwrap_or_default();
        conversation.usage.target.add(TokenUsage { calls: 1, ..tokens });
        span.end(said_end(&reply));
        self.append(conversation, MessageRole::Assistant, reply?)?;
        conversation.target_call_open = false;
        conversation.next = Step::Judge;
        Ok(())
    }

    /// A target that must not be called twice is called only after the intention is recorded.
    async fn open_target_call(&self, conversation: &mut Conversation) -> Result<(), SimulationStop> {
        if self.plan.target.on_unknown() == OnUnknown::Retry {
            return Ok(());
        }
        if conversation.target_call_open {
            let message =
                "The worker was lost while the agent was asked; whether the agent did its work is unknown";
            return Err(RunFailure::new(code::TARGET_CALL_UNKNOWN, Attribution::Worker, message)
                .with_hint("Set `onUnknown: retry` in the agent's definition if it can be asked again.")
                .into());
        }
        conversation.target_call_open = true;
        Ok(self.record(conversation).await?)
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
        let limits = &self.plan.brief;
        let is_last = conversation.turn >= limits.max_turns;
        if conversation.turn < limits.min_turns && !is_last {
            return self.go_on(conversation).await;
        }
        match self.ask_judge(conversation, turn, is_last).await? {
            Ruling::Final(judgement) => {
                let judgement = self.concluded(judgement);
                self.conclude(conversation, judgement).await.map(Some)
            }
            Ruling::Continue(_) => self.go_on(conversation).await,
        }
    }

    /// Only the last turn ends without conclusion; a judge that may wait goes on instead.
    fn concluded(&self, mut judgement: Judgement) -> Judgement {
        if judgement.verdict == Verdict::Inconclusive {
            let max_turns = self.plan.brief.max_turns;
            let reasoning = &judgement.reasoning;
            judgement.reasoning =
                format!("Reached maximum turns ({max_turns}) without conclusion. {reasoning}");
        }
        judgement
    }

    /// Judges what was said so far, wherever the conversation was broken off.
    pub(crate) async fn judge_now(
        &self,
        conversation: &mut Conversation,
    ) -> Result<Judgement, SimulationStop> {
        match self.ask_judge(conversation, self.trace.root(), true).await? {
            Ruling::Final(judgement) => Ok(judgement),
            Ruling::Continue(reasoning) => Ok(Judgement::derive(Vec::new(), reasoning)),
        }
    }

    /// Kept, because delivering the spans may take long before the outcome is published.
    pub(crate) async fn conclude(
        &self,
        conversation: &mut Conversation,
        judgement: Judgement,
    ) -> Result<Judgement, SimulationStop> {
        conversation.judgement = Some(judgement.clone());
        self.record(conversation).await?;
        Ok(judgement)
    }

    async fn go_on(&self, conversation: &mut Conversation) -> Result<Option<Judgement>, SimulationStop> {
        conversation.next = Step::UserSimulator;
        self.record(conversation).await?;
        Ok(None)
    }

    async fn ask_judge(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
        must_rule: bool,
    ) -> Result<Ruling, SimulationStop> {
        let (messages, criteria) = (Arc::from(conversation.messages.as_slice()), &self.criteria);
        let span = turn
            .child(SpanStart::Judge { transcript: Arc::clone(&messages), criteria: Arc::clone(criteria) });
        let model = self.watched(&self.plan.judge);
        let situation = self.plan.brief.scenario.situation.as_str();
        let (turn, messages, span_ref) = (conversation.turn, &messages, span.as_ref());
        let judge = Judge { model: &model, situation, criteria, turn, messages, span: span_ref, must_rule };
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
        if conversation.next == Step::Judge && !judge.must_rule {
            let mut usage = TokenUsage::default();
            let more = judge.wants_more(&mut usage).await;
            conversation.usage.judge.add(usage);
            if let Some(reasoning) = more? {
                return Ok(Ruling::Continue(reasoning));
            }
            conversation.next = Step::Verdict;
            self.record(conversation).await?;
        }
        let mut usage = TokenUsage::default();
        let ruling = judge.rule(&mut usage).await;
        conversation.usage.judge.add(usage);
        Ok(ruling?)
    }

    async fn record(&self, conversation: &mut Conversation) -> Result<(), JournalError> {
        conversation.spans = self.trace.counts();
        self.journal.advanced(conversation, self.note).await
    }

    fn watched<'a>(&'a self, model: &'a Arc<dyn ChatModel>) -> WatchedModel<'a> {
        WatchedModel { model: model.as_ref(), progress: self.progress }
    }

    /// Everything that is said is kept, stored and sent to models again and again, so there is an end to it.
    fn append(
        &self,
        conversation: &mut Conversation,
        role: MessageRole,
        said: TargetReply,
    ) -> Result<(), RunFailure> {
        let (turn, at) = (conversation.turn, self.clock.now());
        let size: usize = conversation.messages.iter().map(|message| message.content.len()).sum();
        if size + said.content.len() > MAX_TRANSCRIPT_BYTES {
            let message = format!("The conversation is longer than {MAX_TRANSCRIPT_BYTES} bytes");
            return Err(RunFailure::new(code::TRANSCRIPT_TOO_LARGE, Attribution::Target, message)
                .with_hint("Let the agent answer more briefly."));
        }
        conversation.messages.push(Message {
            turn,
            role,
            content: said.content,
            tool_calls: said.tool_calls,
            at,
        });
        Ok(())
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
