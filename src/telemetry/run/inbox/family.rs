//! Which spans stand below the run's own.

use std::collections::{HashMap, HashSet};

/// A span id.
pub(super) type Id = [u8; 8];

/// The most spans below the run's own that are followed: four times as many as are passed on.
const MAX_KNOWN: usize = 16 * 1024;
/// The most of them below spans that others may know, too: no more than are passed on.
const MAX_BELOW_RUN: usize = 512;

/// Where a span comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It stands below this call of the target, whose id nobody but the target was told.
    Call(Id),
    /// It stands below another span of the run, whose id is no secret.
    Run,
}

/// The spans of one run, and those received that descend from them.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Calls, and how many spans came below each.
    calls: HashMap<Id, u64>,
    own: HashSet<Id>,
    /// Received spans with their parents and origins.
    known: HashMap<Id, (Id, Origin)>,
    below_run: usize,
}

/// The id that these bytes are, if they are one (OTLP: 8 bytes, not all zero).
pub(super) fn id(bytes: &[u8]) -> Option<Id> {
    Id::try_from(bytes).ok().filter(|id| *id != Id::default())
}

impl Family {
    /// The run called its target in this span.
    pub(super) fn call(&mut self, id: Id) {
        self.calls.entry(id).or_default();
    }

    /// The run made this span, and told others of it.
    pub(super) fn own(&mut self, id: Id) {
        self.own.insert(id);
    }

    /// Where the span comes from, if that is known.
    pub(super) fn origin(&self, id: Id) -> Option<Origin> {
        if self.calls.contains_key(&id) {
            return Some(Origin::Call(id));
        }
        if self.own.contains(&id) {
            return Some(Origin::Run);
        }
        self.known.get(&id).map(|(_, origin)| *origin)
    }

    /// A span came whose parent is of `origin`; false if there are too many to follow it.
    pub(super) fn add(&mut self, id: Id, parent: Id, origin: Origin) -> bool {
        match origin {
            Origin::Call(call) => {
                *self.calls.entry(call).or_default() += 1;
                if self.known.len() - self.below_run >= MAX_KNOWN {
                    return false;
                }
            }
            Origin::Run if self.below_run >= MAX_BELOW_RUN => return false,
            Origin::Run => self.below_run += 1,
        }
        self.known.insert(id, (parent, origin));
        true
    }

    /// The parent of a span that came.
    pub(super) fn parent(&self, id: Id) -> Option<Id> {
        self.known.get(&id).map(|(parent, _)| *parent)
    }

    /// Whether anything came below `call`.
    pub(super) fn has_come(&self, call: Id) -> bool {
        self.calls.get(&call).is_some_and(|spans| *spans > 0)
    }

    /// Whether anything came below any call.
    pub(super) fn has_any_come(&self) -> bool {
        self.calls.values().any(|spans| *spans > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: usize) -> Id {
        number.to_be_bytes()
    }

    #[test]
    fn a_span_has_the_origin_of_its_parent() {
        let mut family = Family::default();
        family.call(of(1));
        family.own(of(2));
        assert!(family.add(of(3), of(1), Origin::Call(of(1))) && family.add(of(4), of(2), Origin::Run));
        let origins = [1, 2, 3, 4, 5].map(|n| family.origin(of(n)));
        let call = Some(Origin::Call(of(1)));
        assert_eq!(origins, [call, Some(Origin::Run), call, Some(Origin::Run), None]);
        assert_eq!((family.parent(of(3)), family.parent(of(1))), (Some(of(1)), None));
        assert!(family.has_come(of(1)) && family.has_any_come() && !family.has_come(of(9)));
        assert_eq!((id(&[0; 8]), id(&[1; 7]), id(&[1; 8])), (None, None, Some([1; 8])));
    }

    #[test]
    fn spans_below_what_others_may_know_cost_those_below_calls_no_place() {
        let mut family = Family::default();
        let add = |family: &mut Family, from: usize, origin| {
            (from..from + 2 * MAX_KNOWN).filter(|n| family.add(of(*n), of(1), origin)).count()
        };
        assert_eq!(add(&mut family, 1000, Origin::Run), MAX_BELOW_RUN);
        assert_eq!(add(&mut family, 1_000_000, Origin::Call(of(1))), MAX_KNOWN);
    }
}
