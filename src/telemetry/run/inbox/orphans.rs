//! Spans of which nobody knows yet whose they are: a parent may come after its children, and anybody who has the trace id may
//! send what never has a parent here. They have a room of their own, where the oldest make place for others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::arrival::Arrival;
use super::family::Id;

/// The most of them whose parents are remembered. It costs little, and lets a span be found below one that had to go.
const MAX_REMEMBERED: usize = 16 * 1024;
/// The most of them that are kept whole: as many as one run passes on of its target.
pub(super) const MAX_HELD: usize = 4096;
/// The most bytes of those, with what is around them: 4 MiB.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;

/// Spans without known parents.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    all: HashMap<Id, Orphan>,
    by_parent: BTreeSet<(Id, Id)>,
    /// The first goes first: tools go last.
    by_turn: BTreeMap<(bool, u64), Id>,
    /// Those that are whole, in the same order.
    held: BTreeMap<(bool, u64), Id>,
    held_bytes: usize,
    came: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) parent: Option<Id>,
    pub(super) request: u64,
    pub(super) is_tool: bool,
    /// The span itself, unless it had to go.
    pub(super) whole: Option<Box<Arrival>>,
    age: u64,
}

impl Orphans {
    pub(super) fn has(&self, id: Id) -> bool {
        self.all.contains_key(&id)
    }

    /// Takes one more in, and answers those that had to go for it.
    pub(super) fn add(&mut self, arrival: Arrival) -> Vec<Arrival> {
        self.came += 1;
        let (id, parent, is_tool, age) = (arrival.id(), arrival.parent, arrival.is_tool(), self.came);
        self.by_turn.insert((is_tool, age), id);
        self.by_parent.extend(parent.map(|parent| (parent, id)));
        self.held.insert((is_tool, age), id);
        self.held_bytes += arrival.bytes;
        let request = arrival.request;
        self.all.insert(id, Orphan { parent, request, is_tool, whole: Some(Box::new(arrival)), age });
        let mut gone = Vec::new();
        while self.held.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
            gone.extend(self.let_go());
        }
        if self.all.len() > MAX_REMEMBERED
            && let Some(next) = self.by_turn.first_key_value().map(|(_, id)| *id)
        {
            gone.extend(self.remove(next).and_then(|orphan| orphan.whole).map(|whole| *whole));
        }
        gone
    }

    /// The children of `parent`, which is known now.
    pub(super) fn take_below(&mut self, parent: Id) -> Vec<(Id, Orphan)> {
        let children = self.by_parent.range((parent, Id::default())..=(parent, [u8::MAX; 8]));
        let children: Vec<Id> = children.map(|(_, child)| *child).collect();
        children.into_iter().filter_map(|child| Some((child, self.remove(child)?))).collect()
    }

    /// Every span that is whole; nothing is left.
    pub(super) fn drain(&mut self) -> Vec<Arrival> {
        let mut left = std::mem::take(self);
        let ids = std::mem::take(&mut left.by_turn).into_values();
        ids.filter_map(|id| left.all.remove(&id)?.whole.map(|whole| *whole)).collect()
    }

    /// Parents of spans of these `requests` that have not come.
    pub(super) fn missing<'a>(&'a self, requests: &'a HashSet<u64>) -> impl Iterator<Item = Id> + 'a {
        let vouched = self.all.values().filter(|orphan| requests.contains(&orphan.request));
        vouched.filter_map(|orphan| orphan.parent).filter(|parent| !self.has(*parent))
    }

    /// The next that has to go; who its parent is stays known.
    fn let_go(&mut self) -> Option<Arrival> {
        let (_, id) = self.held.pop_first()?;
        let whole = self.all.get_mut(&id)?.whole.take()?;
        self.held_bytes -= whole.bytes;
        Some(*whole)
    }

    fn remove(&mut self, id: Id) -> Option<Orphan> {
        let orphan = self.all.remove(&id)?;
        self.by_turn.remove(&(orphan.is_tool, orphan.age));
        self.held.remove(&(orphan.is_tool, orphan.age));
        self.held_bytes -= orphan.whole.as_ref().map_or(0, |whole| whole.bytes);
        if let Some(parent) = orphan.parent {
            self.by_parent.remove(&(parent, id));
        }
        Some(orphan)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry_proto::tonic::trace::v1::Span;

    use super::*;
    use crate::telemetry::export::SpanEnvelope;

    fn of(number: u64) -> Id {
        number.to_be_bytes()
    }

    fn arrival(id: u64, parent: u64, name: &str) -> Arrival {
        let (span_id, parent_span_id) = (of(id).to_vec(), of(parent).to_vec());
        let span = Span { span_id, parent_span_id, name: name.to_owned(), ..Span::default() };
        let mut arrival = Arrival::new(of(id), &span, &Arc::new(SpanEnvelope::default()), 1).unwrap();
        if name == "tool" {
            arrival.piece.work.kind = crate::execution::types::WorkKind::Tool;
        }
        arrival
    }

    #[test]
    fn the_oldest_go_first_and_tools_last_and_their_parents_stay_known() {
        let mut orphans = Orphans::default();
        assert!(orphans.add(arrival(1, 1000, "tool")).is_empty());
        let gone: Vec<Arrival> = (2..=5000).flat_map(|n| orphans.add(arrival(n, n - 1, "step"))).collect();
        let (first, last) = (gone.first().unwrap().id(), gone.last().unwrap().id());
        assert_eq!((first, last, gone.len()), (of(2), of(5000 - 4095), 5000 - MAX_HELD));
        let below: Vec<(Id, Orphan)> = orphans.take_below(of(1000));
        assert_eq!(below.len(), 2);
        assert!(below.iter().any(|(id, orphan)| *id == of(1) && orphan.whole.is_some()));
        let pushed_out = orphans.take_below(of(1)).remove(0).1;
        assert!(pushed_out.whole.is_none() && !pushed_out.is_tool);
        assert_eq!(orphans.drain().len(), MAX_HELD - 2);
        assert!(orphans.drain().is_empty());
    }

    #[test]
    fn bytes_are_bounded_and_so_is_what_is_remembered() {
        let mut orphans = Orphans::default();
        let large = "x".repeat(500_000);
        let gone: usize = (1..=20).map(|n| orphans.add(arrival(n, 99, &large)).len()).sum();
        assert_eq!(gone, 12);
        for n in 100..=40_000 {
            orphans.add(arrival(n, 99, "step"));
        }
        assert_eq!((orphans.all.len(), orphans.by_turn.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert_eq!(orphans.take_below(of(99)).len(), MAX_REMEMBERED);
        assert_eq!((orphans.held_bytes, orphans.by_parent.len(), orphans.held.len()), (0, 0, 0));
    }
}
