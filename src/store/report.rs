//! What an import did.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Kind;

/// How many definitions of a kind an import created, changed, left alone and removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Not there before.
    pub created: usize,
    /// There before, but different.
    pub updated: usize,
    /// There before, and the same.
    pub unchanged: usize,
    /// There before, and not named by a document of their project.
    pub removed: usize,
}

/// What an import did, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ImportReport {
    changes: BTreeMap<Kind, Changes>,
}

impl ImportReport {
    /// What it did to the definitions of `kind`.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Changes {
        self.changes.get(&kind).copied().unwrap_or_default()
    }

    /// What it did altogether.
    #[must_use]
    pub fn total(&self) -> Changes {
        self.changes.values().fold(Changes::default(), |sum, one| Changes {
            created: sum.created + one.created,
            updated: sum.updated + one.updated,
            unchanged: sum.unchanged + one.unchanged,
            removed: sum.removed + one.removed,
        })
    }

    pub(super) fn count(&mut self, kind: Kind) -> &mut Changes {
        self.changes.entry(kind).or_default()
    }
}
