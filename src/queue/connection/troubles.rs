//! What the client library complains of. During an outage it does so at each attempt to connect.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Complaints that are remembered before all others count as known: they are few, unless a server makes new ones up.
const MOST: usize = 32;

/// The complaints since the connection was made. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<HashSet<String>>>);

impl Troubles {
    /// Whether nobody was told of this one yet.
    pub(super) fn are_new(&self, complaint: &str) -> bool {
        let mut known = self.known();
        known.len() < MOST && known.insert(complaint.to_owned())
    }

    /// The connection is made: what comes now is another outage.
    pub(super) fn are_over(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_new_once_in_each_outage() {
        let troubles = Troubles::default();
        let news = |complaint| troubles.clone().are_new(complaint);
        assert_eq!([news("IO error"), news("TLS error"), news("IO error")], [true, true, false]);
        troubles.are_over();
        assert!(news("IO error"));
        let told = (0..MOST * 2).filter(|n| troubles.are_new(&n.to_string())).count();
        assert_eq!(told, MOST - 1, "whoever makes complaints up fills no log");
    }
}
