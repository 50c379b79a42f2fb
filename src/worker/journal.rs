//! A run's progress: into its state first, then onto the wire.

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::events::{RunMessage, RunRequest, RunStarted};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{JournalError, RunJournal, TraceNote};
use crate::execution::types::{Conversation, Message};
use crate::queue::{ClaimedRun, EventPublisher, PublishError};

/// The journal of one run on this worker.
pub(super) struct DurableJournal<'a> {
    request: &'a RunRequest,
    claim: &'a ClaimedRun,
    publisher: &'a EventPublisher,
    /// How many messages of the transcript are published.
    published: Mutex<u32>,
}

impl<'a> DurableJournal<'a> {
    /// A journal that goes on behind the messages which an earlier delivery published.
    ///
    /// # Errors
    /// [`Unavailable`] if the stream cannot say what it has.
    pub(super) async fn open(
        request: &'a RunRequest,
        claim: &'a ClaimedRun,
        publisher: &'a EventPublisher,
    ) -> Result<Self, Unavailable> {
        let already = match claim.resumed() {
            None => 0,
            Some(_) => publisher.last_message_index(&request.key).await?.map_or(0, |index| index + 1),
        };
        Ok(Self { request, claim, publisher, published: Mutex::new(already) })
    }

    fn event(&self, index: u32, message: &Message, trace: &TraceNote) -> RunMessage {
        RunMessage {
            ids: self.request.ids(),
            index,
            turn: message.turn,
            role: message.role,
            content: message.content.clone(),
            tool_calls: message.tool_calls.clone(),
            latency_ms: message.latency_ms,
            trace_id: trace.trace_id.clone(),
            at: message.at,
        }
    }
}

#[async_trait]
impl RunJournal for DurableJournal<'_> {
    async fn started(&self, event: RunStarted, trace: &TraceNote) -> Result<(), JournalError> {
        self.publisher.started(&event, trace.context.as_ref()).await.map(drop).map_err(unrecorded)
    }

    async fn advanced(&self, conversation: &Conversation, trace: &TraceNote) -> Result<(), JournalError> {
        self.claim.checkpoint(conversation).await?;
        let mut published = self.published.lock().await;
        for (index, message) in (0..).zip(&conversation.messages).skip(*published as usize) {
            let event = self.event(index, message, trace);
            self.publisher.message(&event, trace.context.as_ref()).await.map_err(unrecorded)?;
            *published = index + 1;
        }
        Ok(())
    }
}

fn unrecorded(error: PublishError) -> JournalError {
    match error {
        PublishError::TooLarge { bytes, .. } => JournalError::TooLarge { bytes },
        PublishError::Unavailable(unavailable) => JournalError::Unavailable(unavailable),
    }
}
