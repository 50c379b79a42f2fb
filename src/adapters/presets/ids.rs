//! Ids that a run gives to the agent's side: the same whenever they are made, so a run that goes on elsewhere knows them.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::events::RunKey;
use crate::execution::ports::TargetTurn;

/// The length of a UUID, in bytes.
const LENGTH: usize = 16;

/// The conversation's id, as a UUID.
pub(super) fn conversation(run: &RunKey) -> Uuid {
    derived(run, "conversation")
}

/// The id of the message at `index` of the conversation, as a UUID.
pub(super) fn message(turn: &TargetTurn<'_>, index: usize) -> Uuid {
    derived(turn.run, &format!("message {index}"))
}

/// A UUID of one's own making (RFC 9562, version 8).
fn derived(run: &RunKey, what: &str) -> Uuid {
    let digest = Sha256::digest(format!("{}/{} {what}", run.project, run.run));
    let mut bytes = [0; LENGTH];
    bytes.copy_from_slice(&digest[..LENGTH]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
