//! Spans of which nobody knows yet whose they are: a parent may come after its children, and anybody who has the trace id may
//! send what never has a parent here. They have a room of their own, where the oldest make place for others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::arrival::Arrival;
use super::family::Id;

/// The most of one pool whose parents are remembered. It costs little, and lets a span be found below one that had to go.
const MAX_REMEMBERED: usize = 16 * 1024;
/// The most of one pool that are kept whole: as many as one run passes on of its target.
const MAX_HELD: usize = 4096;
/// The most bytes of those, with what is around them: 4 MiB.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;

/// Spans without known parents.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    all: HashMap<Id, Orphan>,
    by_parent: BTreeSet<(Id, Id)>,
    tools: Pool,
    others: Pool,
    came: u64,
}

/// Tools, or others: neither takes the place of the other, whatever anybody calls what he sends.
#[derive(Debug, Default)]
struct Pool {
    by_age: BTreeMap<u64, Id>,
    /// Those that are whole.
    held: BTreeMap<u64, Id>,
    held_bytes: usize,
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
        self.by_parent.extend(parent.map(|parent| (parent, id)));
        let pool = self.pool(is_tool);
        pool.by_age.insert(age, id);
        pool.held.insert(age, id);
        pool.held_bytes += arrival.bytes;
        let request = arrival.request;
        self.all.insert(id, Orphan { parent, request, is_tool, whole: Some(Box::new(arrival)), age });
        let mut gone = Vec::new();
        while let Some(oldest) = self.pool(is_tool).one_too_many() {
            gone.extend(self.let_go(oldest, is_tool));
        }
        if let Some(oldest) = self.pool(is_tool).forgotten() {
            self.remove(oldest);
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
        let all = std::mem::take(self).all.into_values();
        all.filter_map(|orphan| orphan.whole.map(|whole| *whole)).collect()
    }

    /// Parents of spans of these `requests` that have not come.
    pub(super) fn missing<'a>(&'a self, requests: &'a HashSet<u64>) -> impl Iterator<Item = Id> + 'a {
        let vouched = self.all.values().filter(|orphan| requests.contains(&orphan.request));
        vouched.filter_map(|orphan| orphan.parent).filter(|parent| !self.has(*parent))
    }

    /// A span has to go; who its parent is stays known.
    fn let_go(&mut self, id: Id, is_tool: bool) -> Option<Arrival> {
        let orphan = self.all.get_mut(&id)?;
        let (age, whole) = (orphan.age, orphan.whole.take()?);
        self.pool(is_tool).drop_whole(age, whole.bytes);
        Some(*whole)
    }

    fn pool(&mut self, is_tool: bool) -> &mut Pool {
        if is_tool { &mut self.tools } else { &mut self.others }
    }

    fn remove(&mut self, id: Id) -> Option<Orphan> {
        let orphan = self.all.remove(&id)?;
        let pool = self.pool(orphan.is_tool);
        pool.by_age.remove(&orphan.age);
        pool.drop_whole(orphan.age, orphan.whole.as_ref().map_or(0, |whole| whole.bytes));
        if let Some(parent) = orphan.parent {
            self.by_parent.remove(&(parent, id));
        }
        Some(orphan)
    }
}

impl Pool {
    /// The oldest that is whole, if there are too many of those.
    fn one_too_many(&self) -> Option<Id> {
        let is_full = self.held.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES;
        self.held.first_key_value().filter(|_| is_full).map(|(_, id)| *id)
    }

    /// The oldest of all, if there are too many to remember. It is not whole any more: fewer are.
    fn forgotten(&self) -> Option<Id> {
        let is_full = self.by_age.len() > MAX_REMEMBERED;
        self.by_age.first_key_value().filter(|_| is_full).map(|(_, id)| *id)
    }

    fn drop_whole(&mut self, age: u64, bytes: usize) {
        self.held.remove(&age);
        self.held_bytes -= bytes;
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
    fn the_oldest_go_first_but_no_tool_for_others_and_their_parents_stay_known() {
        let mut orphans = Orphans::default();
        assert!(orphans.add(arrival(1, 1000, "tool")).is_empty());
        let gone: Vec<Arrival> = (2..=5000).flat_map(|n| orphans.add(arrival(n, n - 1, "step"))).collect();
        let (first, last) = (gone.first().unwrap().id(), gone.last().unwrap().id());
        assert_eq!((first, last, gone.len()), (of(2), of(904), 903));
        for n in 10_000..20_000 {
            assert!(
                orphans.add(arrival(n, n - 1, "tool")).iter().all(Arrival::is_tool),
                "nor others for tools"
            );
        }
        let below: Vec<(Id, Orphan)> = orphans.take_below(of(1000));
        assert_eq!(below.len(), 2);
        let pushed_out = orphans.take_below(of(1)).remove(0).1;
        assert!(pushed_out.whole.is_none() && !pushed_out.is_tool);
        assert_eq!(orphans.drain().len(), 2 * MAX_HELD - 1);
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
        assert_eq!((orphans.all.len(), orphans.others.by_age.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert_eq!(orphans.take_below(of(99)).len(), MAX_REMEMBERED);
        assert_eq!(
            (orphans.others.held_bytes, orphans.by_parent.len(), orphans.others.held.len()),
            (0, 0, 0)
        );
    }
}
