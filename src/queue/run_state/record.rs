//! What is stored of a run, and the rules by which a delivery may have it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::events::RunStatus;
use crate::execution::types::Conversation;

/// Owner of a run whose request was given up: the next request for the run takes it over. No stream has this sequence.
pub(super) const NOBODY: u64 = 0;

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// A worker has it, or had it and was lost.
    Running,
    /// A worker gave it back; the next one goes on.
    HandedBack,
    /// It is over, for ever.
    Finished,
}

/// What is stored of a run: everything that another worker needs to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunState {
    /// Where it is in its life.
    pub phase: RunPhase,
    /// Stream sequence of the request that owns the run; 0 if that request was given up.
    pub request_sequence: u64,
    /// Which claim wrote this, a random number: by it a writer tells its own writes from others'.
    pub claim: u64,
    /// Executions, this one included.
    pub attempts: u32,
    /// Executions that ended without a word.
    pub lost: u32,
    /// Turns begun.
    pub turn: u32,
    /// How it ended, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// What was said so far; `None` before the first checkpoint and once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// Names the object that holds the conversation, where it is too large for this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// When this was written.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant {
    /// This claim.
    pub(super) claim: u64,
    /// Stream sequence of the request.
    pub(super) request_sequence: u64,
    /// Lost executions that a run may have.
    pub(super) max_attempts: u32,
    /// The time of the claim.
    pub(super) now: OffsetDateTime,
}

/// What becomes of a claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// The run may be executed once this is written.
    Execute(RunState),
    /// The run has to be ended as exhausted once this is written.
    Exhausted(RunState),
    /// The run is over.
    Finished,
    /// Another request owns the run.
    OwnedByOther { request_sequence: u64 },
}

impl Claimant {
    /// Decides by what is stored.
    pub(super) fn decide(&self, stored: Option<RunState>) -> Decision {
        let Some(stored) = stored else { return Decision::Execute(self.fresh()) };
        let RunState { request_sequence, .. } = stored;
        match stored.phase {
            RunPhase::Finished => Decision::Finished,
            _ if request_sequence == NOBODY => {
                let request_sequence = self.request_sequence;
                Decision::Execute(self.next_attempt(RunState { request_sequence, ..stored }))
            }
            _ if request_sequence != self.request_sequence => Decision::OwnedByOther { request_sequence },
            RunPhase::HandedBack => Decision::Execute(self.next_attempt(stored)),
            RunPhase::Running => self.after_loss(stored),
        }
    }

    fn fresh(&self) -> RunState {
        RunState {
            phase: RunPhase::Running,
            request_sequence: self.request_sequence,
            claim: self.claim,
            attempts: 1,
            lost: 0,
            turn: 0,
            status: None,
            conversation: None,
            transcript: None,
            updated_at: self.now,
        }
    }

    /// Whoever wrote "running" last is gone: the message would not be here otherwise.
    fn after_loss(&self, stored: RunState) -> Decision {
        let lost = stored.lost.saturating_add(1);
        if lost > self.max_attempts {
            return Decision::Exhausted(RunState { lost, claim: self.claim, updated_at: self.now, ..stored });
        }
        Decision::Execute(self.next_attempt(RunState { lost, ..stored }))
    }

    fn next_attempt(&self, stored: RunState) -> RunState {
        RunState {
            phase: RunPhase::Running,
            claim: self.claim,
            attempts: stored.attempts.saturating_add(1),
            updated_at: self.now,
            ..stored
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ATTEMPTS: u32 = 2;

    fn claimant(request_sequence: u64) -> Claimant {
        Claimant {
            claim: rand::random(),
            request_sequence,
            max_attempts: MAX_ATTEMPTS,
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn executed(decision: Decision) -> RunState {
        match decision {
            Decision::Execute(state) => state,
            other => panic!("the run was not granted: {other:?}"),
        }
    }

    #[test]
    fn a_run_that_nobody_knows_starts_with_its_first_attempt() {
        let state = executed(claimant(7).decide(None));
        assert_eq!((state.phase, state.attempts, state.lost), (RunPhase::Running, 1, 0));
    }

    #[test]
    fn a_hand_back_is_an_attempt_but_no_loss() {
        let mut state = executed(claimant(7).decide(None));
        for _ in 0..10 {
            state.phase = RunPhase::HandedBack;
            state = executed(claimant(7).decide(Some(state)));
        }
        assert_eq!((state.attempts, state.lost), (11, 0));
    }

    #[test]
    fn a_run_that_was_lost_more_often_than_allowed_is_exhausted() {
        let mut state = executed(claimant(7).decide(None));
        for loss in 1..=MAX_ATTEMPTS {
            state = executed(claimant(7).decide(Some(state)));
            assert_eq!((state.attempts, state.lost), (loss + 1, loss));
        }
        match claimant(7).decide(Some(state)) {
            Decision::Exhausted(state) => {
                assert_eq!((state.attempts, state.lost), (MAX_ATTEMPTS + 1, MAX_ATTEMPTS + 1));
            }
            other => panic!("not exhausted: {other:?}"),
        }
    }

    #[test]
    fn a_finished_run_is_final_and_an_owned_run_is_its_owners() {
        let mut state = executed(claimant(7).decide(None));
        assert_eq!(claimant(8).decide(Some(state.clone())), Decision::OwnedByOther { request_sequence: 7 });
        state.phase = RunPhase::Finished;
        assert_eq!(claimant(7).decide(Some(state.clone())), Decision::Finished);
        assert_eq!(claimant(8).decide(Some(state)), Decision::Finished);
    }

    #[test]
    fn two_claims_never_write_the_same_value() {
        assert_ne!(executed(claimant(7).decide(None)), executed(claimant(7).decide(None)));
    }
}
