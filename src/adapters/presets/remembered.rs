//! What a run remembers of the agent's side between turns. It is stored with the run, so whoever goes on with the run knows it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapters::codes;
use crate::events::Attribution;
use crate::execution::failure::RunFailure;
use crate::execution::types::Session;

/// What is remembered; nothing at first.
pub(super) fn remembered<T: DeserializeOwned + Default>(session: Option<&Session>) -> Result<T, RunFailure> {
    let Some(session) = session else { return Ok(T::default()) };
    // What is wrong with it is not repeated, for it may be a credential.
    T::deserialize(session.expose()).map_err(|_| {
        let message = "What is stored of the agent's session cannot be read";
        RunFailure::new(codes::SESSION_UNREADABLE, Attribution::Worker, message)
    })
}

/// What is to be remembered.
pub(super) fn remember(value: &impl Serialize) -> Session {
    // Maps of texts and numbers are JSON; it cannot fail.
    Session::new(serde_json::to_value(value).unwrap_or_default())
}
