//! The state of every run, in the bucket: who has it, how far it is, how it ended.
//!
//! Every write is a compare-and-set by revision. That is the fence: a worker that lost its lease without noticing
//! cannot write any more once another worker claimed the run.

mod claimed;
mod record;
mod transcripts;

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::bucket::{Bucket, Stored, WriteError};
use super::{Connection, Topology};
use crate::events::{RunKey, subjects};
use crate::execution::failure::Unavailable;
pub use claimed::ClaimedRun;
use claimed::Held;
use record::{Claimant, Decision, NOBODY};
pub use record::{RunPhase, RunState};
use transcripts::Transcripts;

/// How often a claim is decided anew because somebody else wrote meanwhile. Two deliveries of one run at a time are
/// rare, three unheard of.
const MOST_DECISIONS: u32 = 10;

/// What became of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The run is this worker's to execute.
    Granted(ClaimedRun),
    /// The run is over: acknowledge, do not run.
    Finished,
    /// Another request owns the run: acknowledge, do not run.
    OwnedByOther {
        /// That request's stream sequence.
        request_sequence: u64,
    },
    /// Too many executions were lost: the run is this worker's to end as an error.
    AttemptsExhausted(ClaimedRun),
}

/// The states of all runs.
#[derive(Debug, Clone)]
pub struct RunStates {
    bucket: Bucket,
    transcripts: Transcripts,
}

impl RunStates {
    /// The states in the bucket of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology) -> Self {
        Self {
            bucket: Bucket::new(connection, topology),
            transcripts: Transcripts::new(connection, topology),
        }
    }

    /// Claims a run for the delivery of the request that the stream has at `request_sequence`.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or the stored state cannot be read.
    pub async fn claim(
        &self,
        key: &RunKey,
        request_sequence: u64,
        max_attempts: u32,
        now: OffsetDateTime,
    ) -> Result<Claim, Unavailable> {
        let claimant = Claimant { claim: rand::random(), request_sequence, max_attempts, now };
        for _ in 0..MOST_DECISIONS {
            if let Some(claim) = self.try_claim(key, &claimant).await? {
                return Ok(claim);
            }
        }
        Err(Unavailable::new(format!("claiming the run {key}"), "others write its state again and again"))
    }

    /// What is stored of a run, if anything is; a large conversation is only named.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or the stored state cannot be read.
    pub async fn status(&self, key: &RunKey) -> Result<Option<RunState>, Unavailable> {
        decode(key, &self.bucket.read(&subjects::run_state_key(key)).await?)
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
        for _ in 0..MOST_DECISIONS {
            let stored = self.bucket.read(&subjects::run_state_key(key)).await?;
            let Some(state) = decode(key, &stored)?.filter(|state| {
                state.phase != RunPhase::Finished && state.request_sequence == request_sequence
            }) else {
                return Ok(());
            };
            // A claim of its own, so that a worker which still thinks that it has the run is refused.
            let (phase, claim, updated_at) =
                (RunPhase::HandedBack, rand::random(), OffsetDateTime::now_utc());
            let state = RunState { phase, claim, updated_at, request_sequence: NOBODY, ..state };
            let (name, value) = (subjects::run_state_key(key), encode(key, &state)?);
            match self.bucket.write(&name, value, Some(stored.revision), Some(ttl)).await {
                Ok(_) => return Ok(()),
                Err(WriteError::WrongRevision) => {}
                Err(error) => return Err(unavailable(key, error)),
            }
        }
        Err(Unavailable::new(format!("giving up the run {key}"), "others write its state all the time"))
    }

    /// `None` if somebody else wrote between reading and writing.
    async fn try_claim(&self, key: &RunKey, claimant: &Claimant) -> Result<Option<Claim>, Unavailable> {
        let stored = self.bucket.read(&subjects::run_state_key(key)).await?;
        let current = decode(key, &stored)?;
        // The write of the round before was applied although nobody said so.
        if let Some(own) = current.as_ref().filter(|state| state.claim == claimant.claim) {
            return self.granted(key, own.clone(), stored.revision, claimant).await.map(Some);
        }
        let state = match claimant.decide(current) {
            Decision::Finished => return Ok(Some(Claim::Finished)),
            Decision::OwnedByOther { request_sequence } => {
                return Ok(Some(Claim::OwnedByOther { request_sequence }));
            }
            Decision::Execute(state) | Decision::Exhausted(state) => state,
        };
        let (name, value) = (subjects::run_state_key(key), encode(key, &state)?);
        match self.bucket.write(&name, value, Some(stored.revision), None).await {
            Ok(revision) => self.granted(key, state, revision, claimant).await.map(Some),
            Err(WriteError::WrongRevision) => Ok(None),
            Err(error) => Err(unavailable(key, error)),
        }
    }

    async fn granted(
        &self,
        key: &RunKey,
        state: RunState,
        revision: u64,
        claimant: &Claimant,
    ) -> Result<Claim, Unavailable> {
        let exhausted = state.lost > claimant.max_attempts;
        let resumed = self.transcripts.unpack(&state).await?;
        let run = ClaimedRun::new(self, key.clone(), resumed, Held { state, revision });
        Ok(if exhausted { Claim::AttemptsExhausted(run) } else { Claim::Granted(run) })
    }
}

fn encode(key: &RunKey, state: &RunState) -> Result<Bytes, Unavailable> {
    serde_json::to_vec(state)
        .map(Bytes::from)
        .map_err(|error| Unavailable::new(format!("writing the state of the run {key}"), error))
}

fn decode(key: &RunKey, stored: &Stored) -> Result<Option<RunState>, Unavailable> {
    let Some(value) = &stored.value else { return Ok(None) };
    serde_json::from_slice(value)
        .map(Some)
        .map_err(|error| Unavailable::new(format!("reading the state of the run {key}"), error))
}

fn unavailable(key: &RunKey, error: WriteError) -> Unavailable {
    match error {
        WriteError::Unavailable(error) => error,
        other => Unavailable::new(format!("writing the state of the run {key}"), other),
    }
}
