//! A stored state as this worker understands it.

use super::RunState;
use crate::queue::bucket::Stored;

/// A state, and what is wrong with it.
pub(super) struct Reading {
    /// What is understood of it.
    pub(super) state: RunState,
    /// Why that is not all, if so.
    pub(super) flaw: Option<String>,
}

impl Reading {
    /// `None` if nothing is stored.
    pub(super) fn of(stored: &Stored) -> Option<Self> {
        let value = stored.value.as_ref()?;
        Some(match serde_json::from_slice(value) {
            Ok(state) => Self { state, flaw: None },
            Err(error) => Self { state: RunState::salvage(value), flaw: Some(error.to_string()) },
        })
    }
}
