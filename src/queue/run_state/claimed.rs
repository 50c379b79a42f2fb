//! A run that this worker has claimed: its checkpoints and its end.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::reading::Reading;
use super::{RunPhase, RunState, RunStates, encode, unavailable};
use crate::events::{RunKey, RunStatus, subjects};
use crate::execution::failure::Unavailable;
use crate::execution::ports::JournalError;
use crate::execution::types::{Conversation, SpanCounts};
use crate::queue::bucket::{Stored, WriteError};

/// How often a write follows this worker's own late writes; there is one at most for each write given up.
const MOST_ROUNDS: u32 = 5;
/// The first look at whether the run is still this worker's comes after one in this many of the usual intervals.
const FIRST_LOOK_PART: u32 = 8;

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
    state: RunState,
    revision: u64,
    /// When that was.
    written_at: Instant,
    /// A conversation that is to be stored, and may not have been.
    latest: Option<Conversation>,
}

impl Held {
    pub(super) fn new(state: RunState, revision: u64) -> Self {
        Self { state, revision, written_at: Instant::now(), latest: None }
    }
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
        let mut held = self.held.lock().await;
        // Whoever stops waiting for this write still has something to hand back.
        held.latest = Some(conversation.clone());
        self.write(&mut held, None, |_| {}).await
    }

    /// The run is over. Its state is kept for `ttl`, so that a late request finds it.
    ///
    /// # Errors
    /// As [`ClaimedRun::checkpoint`].
    pub async fn finish(
        &self,
        status: impl Into<Option<RunStatus>>,
        ttl: Duration,
    ) -> Result<(), JournalError> {
        let mut held = self.held.lock().await;
        held.latest = None;
        self.write(&mut held, Some(ttl), |state| {
            state.phase = RunPhase::Finished;
            state.status = status.into();
            state.conversation = None;
            state.transcript = None;
        })
        .await
    }

    /// Gives the run to the next worker, which goes on from the last checkpoint, even if that was not written so far. It
    /// is not a lost execution. `spans` are those that were delivered meanwhile.
    ///
    /// # Errors
    /// As [`ClaimedRun::checkpoint`].
    pub async fn hand_back(&self, spans: Option<SpanCounts>) -> Result<(), JournalError> {
        let mut held = self.held.lock().await;
        self.write(&mut held, None, |state| {
            state.phase = RunPhase::HandedBack;
            if let (Some(conversation), Some(spans)) = (&mut state.conversation, spans) {
                conversation.spans = spans;
            }
        })
        .await
    }

    /// Returns when another worker has claimed the run. It looks every `interval` in which this one wrote nothing: in a
    /// long call nothing else would tell. At first it looks sooner, for a delivery that lay in a buffer is overtaken
    /// soon after its claim.
    pub async fn taken_over(&self, interval: Duration) {
        let mut wait = interval / FIRST_LOOK_PART;
        loop {
            tokio::time::sleep(wait).await;
            if self.is_taken(wait).await {
                return;
            }
            wait = (wait * 2).min(interval);
        }
    }

    async fn is_taken(&self, interval: Duration) -> bool {
        // A write under way, or a fresh one, says as much as a look does.
        let is_fresh = |held: &Held| held.written_at.elapsed() < interval;
        if self.held.try_lock().map_or(true, |held| is_fresh(&held)) {
            return false;
        }
        match self.states.bucket.read(&subjects::run_state_key(&self.key)).await {
            Ok(stored) => self.check_owner(&stored).is_err(),
            Err(error) => {
                debug!(run = %self.key, %error, "nobody knows whether the run is still this worker's");
                false
            }
        }
    }

    async fn write(
        &self,
        held: &mut Held,
        ttl: Option<Duration>,
        change: impl FnOnce(&mut RunState),
    ) -> Result<(), JournalError> {
        let mut state = held.state.clone();
        if let Some(conversation) = held.latest.clone() {
            state.turn = conversation.turn;
            state.conversation = Some(conversation);
        }
        change(&mut state);
        state.updated_at = OffsetDateTime::now_utc();
        let state = self.states.transcripts.pack(&self.key, &state).await?;
        let value = encode(&self.key, &state)?;
        held.revision = self.write_from(held.revision, &value, ttl).await?;
        (held.written_at, held.latest) = (Instant::now(), None);
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
        match Reading::of(stored).map(|reading| reading.state) {
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
