//! What an agent under test keeps of one run between its turns.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definitions::REDACTED;

/// A session that a target has begun for one run, in the target's own terms. Whoever has it can speak for the run, so it
/// does not print; it is stored with the conversation, and with nothing else.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Session(Value);

impl Session {
    /// Takes what a target keeps into custody.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// What the target keeps, for the target alone.
    #[must_use]
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::types::Conversation;

    #[test]
    fn a_session_is_stored_and_does_not_print() {
        let session = Some(Session::new(Value::from("hunter2")));
        let conversation = Conversation { session, ..Conversation::default() };
        assert!(!format!("{conversation:?}").contains("hunter2"));
        let stored = serde_json::to_string(&conversation).unwrap();
        assert_eq!(serde_json::from_str::<Conversation>(&stored).unwrap(), conversation);
    }
}
