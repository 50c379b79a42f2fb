//! What is stored of a run, and the rules by which a delivery may have it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    /// Which delivery of that request the last claim was for, from 1.
    #[serde(default)]
    pub delivery: u64,
    /// When that claim was made.
    #[serde(default = "long_ago", with = "time::serde::rfc3339")]
    pub claimed_at: OffsetDateTime,
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

fn long_ago() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

impl RunState {
    /// What can be understood of a state that cannot be read as a whole: a newer worker may have written it.
    pub(super) fn salvage(bytes: &[u8]) -> Self {
        let fields: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let time =
            |name| field(&fields, name).and_then(|text: String| OffsetDateTime::parse(&text, &Rfc3339).ok());
        Self {
            phase: field(&fields, "phase").unwrap_or(RunPhase::Running),
            request_sequence: field(&fields, "requestSequence").unwrap_or(NOBODY),
            delivery: field(&fields, "delivery").unwrap_or_default(),
            claimed_at: time("claimedAt").unwrap_or_else(long_ago),
            claim: field(&fields, "claim").unwrap_or_default(),
            attempts: field(&fields, "attempts").unwrap_or_default(),
            lost: field(&fields, "lost").unwrap_or_default(),
            turn: field(&fields, "turn").unwrap_or_default(),
            status: field(&fields, "status"),
            conversation: None,
            transcript: field(&fields, "transcript"),
            updated_at: time("updatedAt").unwrap_or_else(long_ago),
        }
    }
}

fn field<T: DeserializeOwned>(fields: &Value, name: &str) -> Option<T> {
    serde_json::from_value(fields.get(name)?.clone()).ok()
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant {
    /// This claim.
    pub(super) claim: u64,
    /// Stream sequence of the request.
    pub(super) request_sequence: u64,
    /// Which delivery of it this is, from 1.
    pub(super) delivery: u64,
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
    /// A later delivery of the request was here before.
    Outdated { delivery: u64 },
}

impl Claimant {
    /// Whether what cannot be read may wait for a worker that can: a newer one, while workers are replaced.
    pub(super) fn may_wait(&self) -> bool {
        self.delivery <= u64::from(self.max_attempts)
    }

    /// Whether another delivery of the same request, with a later number, has or had the run.
    pub(super) fn is_behind(&self, stored: &RunState) -> bool {
        stored.phase != RunPhase::Finished
            && stored.request_sequence == self.request_sequence
            && stored.delivery > self.delivery
    }

    /// Decides by what is stored.
    pub(super) fn decide(&self, stored: Option<RunState>) -> Decision {
        let Some(stored) = stored else { return Decision::Execute(self.fresh()) };
        let RunState { request_sequence, delivery, .. } = stored;
        match stored.phase {
            RunPhase::Finished => Decision::Finished,
            _ if request_sequence == NOBODY => {
                let request_sequence = self.request_sequence;
                Decision::Execute(self.next_attempt(RunState { request_sequence, ..stored }))
            }
            _ if request_sequence != self.request_sequence => Decision::OwnedByOther { request_sequence },
            // Who was frozen finds a message that another worker has had since; taking the run now would be stealing it.
            _ if delivery > self.delivery => Decision::Outdated { delivery },
            RunPhase::HandedBack => Decision::Execute(self.next_attempt(stored)),
            RunPhase::Running => self.after_loss(stored),
        }
    }

    fn fresh(&self) -> RunState {
        RunState {
            phase: RunPhase::Running,
            request_sequence: self.request_sequence,
            delivery: self.delivery,
            claimed_at: self.now,
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
            let (claim, delivery, now) = (self.claim, self.delivery, self.now);
            let (claimed_at, updated_at) = (now, now);
            return Decision::Exhausted(RunState { delivery, claimed_at, claim, lost, updated_at, ..stored });
        }
        Decision::Execute(self.next_attempt(RunState { lost, ..stored }))
    }

    fn next_attempt(&self, stored: RunState) -> RunState {
        RunState {
            phase: RunPhase::Running,
            claim: self.claim,
            delivery: self.delivery,
            claimed_at: self.now,
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
            delivery: 1,
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
    fn a_delivery_that_a_later_one_overtook_does_not_get_the_run() {
        let stored = executed(Claimant { delivery: 2, ..claimant(7) }.decide(None));
        assert_eq!(claimant(7).decide(Some(stored.clone())), Decision::Outdated { delivery: 2 });
        let next = executed(Claimant { delivery: 3, ..claimant(7) }.decide(Some(stored)));
        assert_eq!((next.delivery, next.attempts), (3, 2));
    }

    #[test]
    fn of_a_state_from_the_future_its_owner_and_its_numbers_are_understood() {
        let state = RunState { delivery: 4, lost: 2, ..executed(claimant(7).decide(None)) };
        let mut future = serde_json::to_value(&state).unwrap();
        future["phase"] = "paused".into();
        future["conversation"] = serde_json::json!({ "messages": "elsewhere" });
        let salvaged = RunState::salvage(future.to_string().as_bytes());
        assert_eq!(salvaged, state);
        assert_eq!(RunState::salvage(b"\xff").request_sequence, NOBODY);
    }

    #[test]
    fn two_claims_never_write_the_same_value() {
        assert_ne!(executed(claimant(7).decide(None)), executed(claimant(7).decide(None)));
    }
}
