//! The run's journal, which the worker keeps.

use async_trait::async_trait;

use super::line::Line;
use crate::events::RunStarted;
use crate::execution::ports::{JournalError, RunJournal, TraceNote};
use crate::execution::types::Conversation;
use crate::isolation::frames::{Answer, Call, Entry};

/// Asks the worker to store and publish.
pub(super) struct PipeJournal(pub(super) Line);

#[async_trait]
impl RunJournal for PipeJournal {
    /// The worker makes the event itself.
    async fn started(
        &self,
        conversation: &Conversation,
        _: RunStarted,
        trace: &TraceNote,
    ) -> Result<(), JournalError> {
        done(self.0.ask(Call::Started(Entry::new(conversation, trace))).await)
    }

    async fn advanced(&self, conversation: &Conversation, trace: &TraceNote) -> Result<(), JournalError> {
        done(self.0.ask(Call::Advanced(Entry::new(conversation, trace))).await)
    }
}

fn done(answer: Answer) -> Result<(), JournalError> {
    match answer {
        Answer::Done => Ok(()),
        other => Err(other.into_error("asking the worker to store the run")),
    }
}
