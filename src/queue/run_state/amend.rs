//! States that are written without a claim: a run that is over already, and one whose request is gone.

use std::time::Duration;

use time::OffsetDateTime;

use super::reading::Reading;
use super::record::NOBODY;
use super::{MOST_DECISIONS, RunPhase, RunState, RunStates, encode, unavailable};
use crate::events::{RunKey, RunStatus, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::bucket::WriteError;

impl RunStates {
    /// The run has its outcome, of this `status`: whoever wrote its state last, from now on it says so, for `ttl`.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn settle(
        &self,
        key: &RunKey,
        status: Option<RunStatus>,
        ttl: Duration,
    ) -> Result<(), Unavailable> {
        let finished = |state: RunState| {
            (state.phase != RunPhase::Finished).then_some(RunState {
                phase: RunPhase::Finished,
                status,
                conversation: None,
                transcript: None,
                ..state
            })
        };
        let before = self.amend(key, ttl, finished).await?;
        if let Some(name) = before.and_then(|state| state.transcript) {
            self.transcripts.discard(&name).await;
        }
        Ok(())
    }

    /// The request at `request_sequence` was given up: if it owns the run, whoever asks next takes the run over, where it
    /// stopped. Without such a request the state expires after `ttl`.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn disown(
        &self,
        key: &RunKey,
        request_sequence: u64,
        ttl: Duration,
    ) -> Result<(), Unavailable> {
        let disowned = |state: RunState| {
            let is_its = state.phase != RunPhase::Finished && state.request_sequence == request_sequence;
            // A claim of its own, so that a worker which still thinks that it has the run is refused.
            let (phase, claim) = (RunPhase::HandedBack, rand::random());
            is_its.then_some(RunState { phase, claim, request_sequence: NOBODY, ..state })
        };
        self.amend(key, ttl, disowned).await.map(drop)
    }

    /// Writes what `change` makes of the state, if there is one and it wants to, and returns what was there before.
    async fn amend(
        &self,
        key: &RunKey,
        ttl: Duration,
        change: impl Fn(RunState) -> Option<RunState>,
    ) -> Result<Option<RunState>, Unavailable> {
        let name = subjects::run_state_key(key);
        for _ in 0..MOST_DECISIONS {
            let stored = self.bucket.read(&name).await?;
            let Some(before) = Reading::of(&stored).map(|reading| reading.state) else { return Ok(None) };
            let Some(after) = change(before.clone()) else { return Ok(None) };
            let value = encode(key, &RunState { updated_at: OffsetDateTime::now_utc(), ..after })?;
            match self.bucket.write(&name, value, Some(stored.revision), Some(ttl)).await {
                Ok(_) => return Ok(Some(before)),
                Err(WriteError::WrongRevision) => {}
                Err(error) => return Err(unavailable(key, error)),
            }
        }
        Err(Unavailable::new(format!("amending the run {key}"), "others write its state all the time"))
    }
}
