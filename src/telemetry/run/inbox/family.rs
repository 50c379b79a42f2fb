//! Which spans descend from which.

use std::collections::{HashMap, HashSet};

/// A span id.
pub(super) type Id = [u8; 8];

/// The most generations that are followed: deeper than any call stack that people trace.
const MAX_GENERATIONS: usize = 256;

/// Where a span comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It stands below this call of the target.
    Call(Id),
    /// It stands below another span of the run.
    Run,
    /// Nobody knows yet.
    Unknown,
}

/// The received spans of one run and the run's own that they may stand below.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Received spans and their parents.
    parents: HashMap<Id, Option<Id>>,
    calls: HashSet<Id>,
    own: HashSet<Id>,
    /// Parents that have not come.
    missing: HashSet<Id>,
    /// Parents that nobody waits for any more.
    given_up: HashSet<Id>,
}

/// The id that these bytes are, if they are one (OTLP: 8 bytes, not all zero).
pub(super) fn id(bytes: &[u8]) -> Option<Id> {
    Id::try_from(bytes).ok().filter(|id| *id != Id::default())
}

impl Family {
    /// The run called its target in this span.
    pub(super) fn call(&mut self, id: Id) {
        self.calls.insert(id);
        self.missing.remove(&id);
    }

    /// The run made this span, and told its target of it.
    pub(super) fn own(&mut self, id: Id) {
        self.own.insert(id);
    }

    pub(super) fn has(&self, id: Id) -> bool {
        self.parents.contains_key(&id) || self.is_ours(id)
    }

    /// How many spans came.
    pub(super) fn received(&self) -> usize {
        self.parents.len()
    }

    /// A span came.
    pub(super) fn add(&mut self, id: Id, parent: Option<Id>) {
        self.parents.insert(id, parent);
        self.missing.remove(&id);
        if let Some(parent) = parent.filter(|parent| !self.has(*parent) && !self.given_up.contains(parent)) {
            self.missing.insert(parent);
        }
    }

    /// The parent of a span that came.
    pub(super) fn parent(&self, id: Id) -> Option<Id> {
        self.parents.get(&id).copied().flatten()
    }

    pub(super) fn origin(&self, id: Id) -> Origin {
        let ancestors = std::iter::successors(Some(id), |id| self.parent(*id));
        for id in ancestors.take(MAX_GENERATIONS) {
            if self.calls.contains(&id) {
                return Origin::Call(id);
            }
            if self.own.contains(&id) {
                return Origin::Run;
            }
        }
        Origin::Unknown
    }

    /// Whether something came for `call`, and nothing that came points to more.
    pub(super) fn is_settled(&self, call: Id) -> bool {
        self.missing.is_empty() && self.parents.keys().any(|id| self.origin(*id) == Origin::Call(call))
    }

    /// Nobody waits any more for what is missing now.
    pub(super) fn forget_missing(&mut self) {
        self.given_up.extend(self.missing.drain());
    }

    fn is_ours(&self, id: Id) -> bool {
        self.calls.contains(&id) || self.own.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u8) -> Id {
        [number; 8]
    }

    #[test]
    fn a_call_settles_when_something_came_and_every_parent_is_there() {
        let mut family = Family::default();
        family.call(of(1));
        assert!(!family.is_settled(of(1)), "nothing came");
        family.add(of(3), Some(of(2)));
        assert!(!family.is_settled(of(1)), "the parent is missing");
        assert_eq!(family.origin(of(3)), Origin::Unknown);
        family.add(of(2), Some(of(1)));
        assert!(family.is_settled(of(1)));
        assert_eq!(family.origin(of(3)), Origin::Call(of(1)));
        family.call(of(9));
        assert!(!family.is_settled(of(9)), "that was for another call");
        family.add(of(8), Some(of(7)));
        family.forget_missing();
        assert!(family.is_settled(of(1)), "nobody waits for it");
    }

    #[test]
    fn spans_that_are_each_others_parents_come_from_nowhere() {
        let mut family = Family::default();
        family.add(of(1), Some(of(2)));
        family.add(of(2), Some(of(1)));
        family.add(of(3), Some(of(3)));
        assert_eq!([1, 2, 3].map(|n| family.origin(of(n))), [Origin::Unknown; 3]);
        family.own(of(4));
        family.add(of(5), Some(of(4)));
        assert_eq!(family.origin(of(5)), Origin::Run);
        assert_eq!((id(&[0; 8]), id(&[1; 7]), id(&[1; 8])), (None, None, Some(of(1))));
    }
}
