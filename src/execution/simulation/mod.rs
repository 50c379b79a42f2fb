//! The conversation itself: the script, and customer, agent and judge in turns, until there is a judgement.

mod agent;
mod budget;
mod closing;
mod hearing;
mod judge;
mod round;
mod script;
mod target_spans;
mod transcript;
mod turns;
mod unreached;
mod user_simulator;
mod watched;

use std::borrow::Cow;
use std::sync::Arc;

use super::cassette::Tape;
use super::checks::Observed;
use super::failure::RunFailure;
use super::planner::RunPlan;
use super::ports::{ChatModel, Clock, JournalError, RunJournal, RunTrace, SessionCall, TraceNote};
use super::signals::Progress;
use super::types::{Conversation, Criterion, Ending, Judgement, Message};
use crate::events::RunRequest;
use budget::Purse;
use watched::WatchedModel;

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

/// What a part of the conversation came to: nothing yet, or the end of the run.
type Played = Result<Option<Judgement>, SimulationStop>;

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
        self.begin_session(conversation).await?;
        self.follow_script(conversation).await
    }

    /// A session that is there already is gone on with.
    async fn begin_session(&self, conversation: &mut Conversation) -> Result<(), SimulationStop> {
        if conversation.session.is_some() {
            return Ok(());
        }
        let call = SessionCall { run: &self.request.key, span: self.trace.root() };
        conversation.session = self.plan.target.begin(call).await?;
        if conversation.session.is_some() {
            self.record(conversation).await?;
        }
        Ok(())
    }

    /// Kept, because delivering the spans may take long before the outcome is published.
    pub(crate) async fn conclude(
        &self,
        conversation: &mut Conversation,
        judgement: Judgement,
    ) -> Result<Judgement, SimulationStop> {
        conversation.ending = Some(Ending::Judged(judgement.clone()));
        self.record(conversation).await?;
        Ok(judgement)
    }

    /// Stores how far the run is, publishes what is new, and sends what there is of the trace.
    async fn record(&self, conversation: &mut Conversation) -> Result<(), JournalError> {
        conversation.spans = self.trace.counts();
        conversation.taped = self.plan.tape.as_ref().map(Tape::calls).unwrap_or_default();
        self.journal.advanced(conversation, self.note).await?;
        self.progress.touch();
        self.trace.flush().await;
        Ok(())
    }

    fn watched<'a>(&'a self, model: &'a Arc<dyn ChatModel>, purse: &'a Purse) -> WatchedModel<'a> {
        WatchedModel { model: model.as_ref(), progress: self.progress, purse }
    }
}

/// What checks see of a conversation: what was said, with the tools of which only the agent's own spans tell.
struct Seen<'a> {
    messages: Cow<'a, [Message]>,
    conversation: &'a Conversation,
}

fn seen(conversation: &Conversation) -> Seen<'_> {
    let mut messages = Cow::Borrowed(conversation.messages.as_slice());
    for (index, report) in &conversation.reports {
        let place = usize::try_from(*index).unwrap_or(usize::MAX);
        let Some(message) = conversation.messages.get(place) else { continue };
        let beyond = report.tool_calls_beyond(&message.tool_calls);
        if !beyond.is_empty() {
            messages.to_mut()[place].tool_calls.extend(beyond);
        }
    }
    Seen { messages, conversation }
}

impl Seen<'_> {
    fn observed(&self) -> Observed<'_> {
        let Conversation { turn, usage, .. } = self.conversation;
        let tool_calls_unknown = self.conversation.may_lack_tool_calls();
        let tool_calls_left_out = self.conversation.tool_calls_left_out();
        Observed { messages: &self.messages, tool_calls_unknown, tool_calls_left_out, turns: *turn, usage }
    }
}
