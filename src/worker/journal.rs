//! A run's progress: into its state first, then onto the wire.

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::events::{RunMessage, RunRequest, RunStarted};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{JournalError, RunJournal, TraceNote};
use crate::execution::types::{Conversation, Message};
use crate::queue::{ClaimedRun, EventPublisher, Lease, PublishError};

/// The journal of one run on this worker.
pub(super) struct DurableJournal<'a> {
    request: &'a RunRequest,
    claim: &'a ClaimedRun,
    publisher: &'a EventPublisher,
    lease: &'a Lease,
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
        lease: &'a Lease,
    ) -> Result<Self, Unavailable> {
        let already = match claim.resumed() {
            None => 0,
            Some(_) => publisher.last_message_index(&request.key).await?.map_or(0, |index| index + 1),
        };
        Ok(Self { request, claim, publisher, lease, published: Mutex::new(already) })
    }

    /// What is heard and not stored would be asked again, so an outage is waited out for as long as the lease lasts.
    async fn store(&self, conversation: &Conversation) -> Result<(), JournalError> {
        let is_outage = |error: &JournalError| matches!(error, JournalError::Unavailable(_));
        self.lease.insist(is_outage, || self.claim.checkpoint(conversation)).await?;
        // A worker may have been frozen since the write, and the run be another's by now.
        if self.lease.holds() {
            return Ok(());
        }
        Err(JournalError::LeaseLost("its lease is over by the worker's clock".to_owned()))
    }

    async fn report(&self, event: &RunMessage, trace: &TraceNote) -> Result<(), PublishError> {
        let publish = async || match self.publisher.message(event, trace.context.as_ref()).await {
            // An outage may last longer than the stream remembers what it has.
            Err(error) if is_outage(&error) && !self.is_reported(event.index).await? => Err(error),
            Err(PublishError::Unavailable(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.lease.insist(is_outage, publish).await
    }

    async fn is_reported(&self, index: u32) -> Result<bool, Unavailable> {
        Ok(self.publisher.last_message_index(&self.request.key).await? >= Some(index))
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
    async fn started(
        &self,
        conversation: &Conversation,
        event: RunStarted,
        trace: &TraceNote,
    ) -> Result<(), JournalError> {
        self.store(conversation).await?;
        let publish = || self.publisher.started(&event, trace.context.as_ref());
        self.lease.insist(is_outage, publish).await.map(drop).map_err(unrecorded)
    }

    async fn advanced(&self, conversation: &Conversation, trace: &TraceNote) -> Result<(), JournalError> {
        self.store(conversation).await?;
        let mut published = self.published.lock().await;
        for (index, message) in (0..).zip(&conversation.messages).skip(*published as usize) {
            let event = self.event(index, message, trace);
            self.report(&event, trace).await.map_err(unrecorded)?;
            *published = index + 1;
        }
        Ok(())
    }
}

pub(super) fn is_outage(error: &PublishError) -> bool {
    matches!(error, PublishError::Unavailable(_))
}

fn unrecorded(error: PublishError) -> JournalError {
    match error {
        PublishError::TooLarge { bytes, .. } => JournalError::TooLarge { bytes },
        PublishError::Unavailable(unavailable) => JournalError::Unavailable(unavailable),
    }
}
