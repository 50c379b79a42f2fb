//! A run that this worker has claimed: its checkpoints and its end.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{RunPhase, RunState, decode, encode, unavailable};
use crate::events::{RunKey, RunStatus, subjects};
use crate::execution::ports::JournalError;
use crate::execution::types::Conversation;
use crate::queue::bucket::{Bucket, WriteError};

/// A run that this worker may execute for as long as nobody else claims it.
pub struct ClaimedRun {
    bucket: Bucket,
    key: RunKey,
    attempt: u32,
    resumed: Option<Conversation>,
    held: Mutex<Held>,
}

/// What this worker wrote last.
struct Held {
    state: RunState,
    revision: u64,
}

impl ClaimedRun {
    pub(super) fn new(bucket: Bucket, key: RunKey, state: RunState, revision: u64) -> Self {
        let (attempt, resumed) = (state.attempts, state.conversation.clone());
        Self { bucket, key, attempt, resumed, held: Mutex::new(Held { state, revision }) }
    }

    /// The run.
    #[must_use]
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// Executions so far, this one included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The conversation to go on from, if an earlier execution got so far.
    #[must_use]
    pub fn resumed(&self) -> Option<&Conversation> {
        self.resumed.as_ref()
    }

    /// Stores how far the run is.
    ///
    /// # Errors
    /// [`JournalError::LeaseLost`] if another worker has the run, [`JournalError::Unavailable`] if the broker does not
    /// answer for long.
    pub async fn checkpoint(&self, conversation: &Conversation) -> Result<(), JournalError> {
        self.write(None, |state| {
            state.turn = conversation.turn;
            state.conversation = Some(conversation.clone());
        })
        .await
    }

    /// The run is over. Its state is kept for `ttl`, so that a late request finds it.
    ///
    /// # Errors
    /// As [`ClaimedRun::checkpoint`].
    pub async fn finish(&self, status: RunStatus, ttl: Duration) -> Result<(), JournalError> {
        self.write(Some(ttl), |state| {
            state.phase = RunPhase::Finished;
            state.status = Some(status);
            state.conversation = None;
        })
        .await
    }

    /// Gives the run to the next worker, which goes on from the last checkpoint. It is not a lost execution.
    ///
    /// # Errors
    /// As [`ClaimedRun::checkpoint`].
    pub async fn hand_back(&self) -> Result<(), JournalError> {
        self.write(None, |state| state.phase = RunPhase::HandedBack).await
    }

    async fn write(&self, ttl: Option<Duration>, change: impl FnOnce(&mut RunState)) -> Result<(), JournalError> {
        let mut held = self.held.lock().await;
        let mut state = held.state.clone();
        change(&mut state);
        state.updated_at = OffsetDateTime::now_utc();
        let value = encode(&self.key, &state)?;
        let name = subjects::run_state_key(&self.key);
        held.revision = match self.bucket.write(&name, value, Some(held.revision), ttl).await {
            Ok(revision) => revision,
            Err(WriteError::WrongRevision) => self.arbitrate(&state).await?,
            Err(error) => return Err(unavailable(&self.key, error).into()),
        };
        held.state = state;
        Ok(())
    }

    /// The revision is not the expected one: was it this very write, whose confirmation was lost, or another worker?
    async fn arbitrate(&self, written: &RunState) -> Result<u64, JournalError> {
        let stored = self.bucket.read(&subjects::run_state_key(&self.key)).await?;
        match decode(&self.key, &stored)? {
            Some(state) if state == *written => Ok(stored.revision),
            Some(other) => Err(JournalError::LeaseLost(format!(
                "the state of the run {} was written by another claim (attempt {} of the request at {})",
                self.key, other.attempts, other.request_sequence
            ))),
            None => Err(JournalError::LeaseLost(format!("the state of the run {} was deleted", self.key))),
        }
    }
}

impl fmt::Debug for ClaimedRun {
    /// Without the conversation, which belongs to a tenant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedRun").field("key", &self.key).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
