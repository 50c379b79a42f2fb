//! The state of every run, in the bucket: who has it, how far it is, how it ended.
//!
//! Every write is a compare-and-set by revision. That is the fence: a worker that lost its lease without noticing
//! cannot write any more once another worker claimed the run.

mod amend;
mod claimed;
mod reading;
mod record;
mod transcripts;

use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use time::OffsetDateTime;
use tracing::warn;

use super::bucket::{Bucket, WriteError};
use super::{Connection, Topology};
use crate::events::{RunKey, subjects};
use crate::execution::failure::Unavailable;
pub use claimed::ClaimedRun;
use claimed::Held;
use reading::Reading;
use record::{Claimant, Decision};
pub use record::{RunPhase, RunState};
use transcripts::{Left, Transcripts};

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
    /// A later delivery of the request has or had the run: leave this one alone.
    Outdated {
        /// That delivery's number.
        delivery: u64,
    },
    /// Too many executions were lost: the run is this worker's to end as an error.
    AttemptsExhausted(ClaimedRun),
    /// What is stored of the run cannot be read, and that does not pass: the run is this worker's to end as an error.
    Unreadable {
        /// The run.
        run: ClaimedRun,
        /// What cannot be read, and why.
        reason: String,
    },
}

/// The states of all runs.
#[derive(Debug, Clone)]
pub struct RunStates {
    bucket: Bucket,
    transcripts: Transcripts,
    consumer: PullConsumer,
}

impl RunStates {
    /// The states in the bucket of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology) -> Self {
        Self {
            bucket: Bucket::new(connection, topology),
            transcripts: Transcripts::new(connection, topology),
            consumer: topology.requests.clone(),
        }
    }

    /// Claims a run for delivery number `delivery` of the request that the stream has at `request_sequence`.
    ///
    /// What cannot be read waits for a worker that can read it, `max_attempts` deliveries long.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or the stored state cannot be read yet.
    pub async fn claim(
        &self,
        key: &RunKey,
        request_sequence: u64,
        delivery: u64,
        max_attempts: u32,
        now: OffsetDateTime,
    ) -> Result<Claim, Unavailable> {
        let claimant = Claimant { claim: rand::random(), request_sequence, delivery, max_attempts, now };
        for _ in 0..MOST_DECISIONS {
            if let Some(claim) = self.try_claim(key, &claimant).await? {
                return Ok(claim);
            }
        }
        Err(Unavailable::new(format!("claiming the run {key}"), "others write its state again and again"))
    }

    /// What is stored of a run, if anything is; a large conversation is only named. What a newer worker wrote is told as
    /// far as it is understood.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn status(&self, key: &RunKey) -> Result<Option<RunState>, Unavailable> {
        let stored = self.bucket.read(&subjects::run_state_key(key)).await?;
        Ok(Reading::of(&stored).map(|reading| reading.state))
    }

    /// `None` if somebody else wrote between reading and writing.
    #[expect(clippy::too_many_lines, reason = "one line for each decision")]
    async fn try_claim(&self, key: &RunKey, claimant: &Claimant) -> Result<Option<Claim>, Unavailable> {
        let stored = self.bucket.read(&subjects::run_state_key(key)).await?;
        let (current, flaw) = Reading::of(&stored).map(|reading| (reading.state, reading.flaw)).unzip();
        // The write of the round before was applied although nobody said so.
        if let Some(own) = current.as_ref().filter(|state| state.claim == claimant.claim) {
            let left = self.transcripts.unpack(own).await?;
            return Ok(Some(self.granted(key, own.clone(), left, stored.revision, claimant)));
        }
        let state = match claimant.decide(self.renumbered(current, claimant).await?) {
            Decision::Finished => return Ok(Some(Claim::Finished)),
            Decision::OwnedByOther { request_sequence } => {
                return Ok(Some(Claim::OwnedByOther { request_sequence }));
            }
            Decision::Outdated { delivery } => return Ok(Some(Claim::Outdated { delivery })),
            Decision::Execute(state) | Decision::Exhausted(state) => state,
        };
        let left = match flaw.flatten() {
            Some(flaw) => Left::Unreadable(flaw),
            None => self.transcripts.unpack(&state).await?,
        };
        if let Left::Unreadable(reason) = &left
            && claimant.may_wait()
        {
            return Err(Unavailable::new(format!("reading the state of the run {key}"), reason.as_str()));
        }
        let (name, value) = (subjects::run_state_key(key), encode(key, &state)?);
        match self.bucket.write(&name, value, Some(stored.revision), None).await {
            Ok(revision) => Ok(Some(self.granted(key, state, left, revision, claimant))),
            Err(WriteError::WrongRevision) => Ok(None),
            Err(error) => Err(unavailable(key, error)),
        }
    }

    /// A consumer that is created anew counts its deliveries anew: what an earlier one counted says nothing.
    async fn renumbered(
        &self,
        state: Option<RunState>,
        claimant: &Claimant,
    ) -> Result<Option<RunState>, Unavailable> {
        let Some(state) = state.as_ref().filter(|state| claimant.is_behind(state)) else { return Ok(state) };
        let info = self.consumer.get_info().await;
        let info =
            info.map_err(|error| Unavailable::new("looking up the consumer of the requests", error))?;
        let delivery = if info.created > state.claimed_at { 0 } else { state.delivery };
        Ok(Some(RunState { delivery, ..state.clone() }))
    }

    fn granted(
        &self,
        key: &RunKey,
        state: RunState,
        left: Left,
        revision: u64,
        claimant: &Claimant,
    ) -> Claim {
        let exhausted = state.lost > claimant.max_attempts;
        let (resumed, reason) = match left {
            Left::Readable(conversation) => (conversation.map(|conversation| *conversation), None),
            Left::Unreadable(reason) => (None, Some(reason)),
        };
        let run = ClaimedRun::new(self, key.clone(), resumed, Held::new(state, revision));
        match (exhausted, reason) {
            (false, None) => Claim::Granted(run),
            (true, None) => Claim::AttemptsExhausted(run),
            (_, Some(reason)) => {
                warn!(run = %key, reason, "what is stored of a run cannot be read; the run ends");
                Claim::Unreadable { run, reason }
            }
        }
    }
}

fn encode(key: &RunKey, state: &RunState) -> Result<Bytes, Unavailable> {
    serde_json::to_vec(state)
        .map(Bytes::from)
        .map_err(|error| Unavailable::new(format!("writing the state of the run {key}"), error))
}

fn unavailable(key: &RunKey, error: WriteError) -> Unavailable {
    match error {
        WriteError::Unavailable(error) => error,
        other => Unavailable::new(format!("writing the state of the run {key}"), other),
    }
}
