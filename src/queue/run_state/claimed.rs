//! A run that this worker has claimed: its checkpoints and its end.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{RunPhase, RunState, RunStates, decode, encode, unavailable};
use crate::events::{RunKey, RunStatus, subjects};
use crate::execution::failure::Unavailable;
use crate::execution::ports::JournalError;
use crate::execution::types::{Conversation, SpanCounts};
use crate::queue::bucket::{Stored, WriteError};

/// How often a write follows this worker's own late writes; there is one at most for each write given up.
const MOST_ROUNDS: u32 = 5;

/// A run that this worker may execute for as long as nobody else claims it.
pub struct ClaimedRun {
    states: RunStates,
    key: RunKey,
    claim: u64,
    attempt: u32,
    resumed: Option<Conversation>,
    held: Mutex<Held>,
}

/// What this worker wrote last.
pub(super) struct Held {
    pub(super) state: RunState,
    pub(super) revision: u64,
}

impl ClaimedRun {
    pub(super) fn new(states: &RunStates, key: RunKey, resumed: Option<Conversation>, held: Held) -> Self {
        let (claim, attempt) = (held.state.claim, held.state.attempts);
        Self { states: states.clone(), key, claim, attempt, resumed, held: Mutex::new(held) }
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
            state.transcript = None;
        })
        .await
    }

    /// Gives the run to the next worker, which goes on from the last checkpoint. It is not a lost execution. `spans` are
    /// those that were delivered meanwhile.
    ///
    /// # Errors
    /// As [`ClaimedRun::checkpoint`].
    pub async fn hand_back(&self, spans: Option<SpanCounts>) -> Result<(), JournalError> {
        self.write(None, |state| {
            state.phase = RunPhase::HandedBack;
            if let (Some(conversation), Some(spans)) = (&mut state.conversation, spans) {
                conversation.spans = spans;
            }
        })
        .await
    }

    async fn write(
        &self,
        ttl: Option<Duration>,
        change: impl FnOnce(&mut RunState),
    ) -> Result<(), JournalError> {
        let mut held = self.held.lock().await;
        let mut state = held.state.clone();
        change(&mut state);
        state.updated_at = OffsetDateTime::now_utc();
        let state = self.states.transcripts.pack(&self.key, &state).await?;
        let value = encode(&self.key, &state)?;
        held.revision = self.write_from(held.revision, &value, ttl).await?;
        let before = std::mem::replace(&mut held.state, state).transcript;
        if let Some(name) = before.filter(|name| held.state.transcript.as_ref() != Some(name)) {
            self.states.transcripts.discard(&name).await;
        }
        Ok(())
    }

    /// Writes `value` over this worker's own last write, and returns the new revision.
    async fn write_from(
        &self,
        mut revision: u64,
        value: &Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, JournalError> {
        let name = subjects::run_state_key(&self.key);
        for _ in 0..MOST_ROUNDS {
            match self.states.bucket.write(&name, value.clone(), Some(revision), ttl).await {
                Ok(revision) => return Ok(revision),
                Err(WriteError::WrongRevision) => {}
                Err(error) => return Err(unavailable(&self.key, error).into()),
            }
            let stored = self.states.bucket.read(&name).await?;
            if stored.value.as_ref() == Some(value) {
                return Ok(stored.revision);
            }
            self.check_owner(&stored)?;
            revision = stored.revision;
        }
        Err(Unavailable::new(format!("writing the state of the run {}", self.key), "late writes overtake it")
            .into())
    }

    /// The revision was not the expected one. That is fine where an earlier write of this claim, given up as
    /// unconfirmed, was applied after all; else another worker has the run.
    fn check_owner(&self, stored: &Stored) -> Result<(), JournalError> {
        match decode(&self.key, stored)? {
            Some(state) if state.claim == self.claim => Ok(()),
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
        f.debug_struct("ClaimedRun")
            .field("key", &self.key)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
