//! How many messages were buried, whoever buried them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::events::DeadLetterCode;

/// Counts of buried messages by code. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Burials(Arc<Mutex<BTreeMap<DeadLetterCode, u64>>>);

impl Burials {
    /// The count of every code that there was.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<DeadLetterCode, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, code: DeadLetterCode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}
