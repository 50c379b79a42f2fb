//! Which runs of this process take spans, by their traces.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::bundle::{Bundle, TraceKey};
use super::reception::Reception;

/// Takes spans for one run.
#[async_trait]
pub trait Recipient: Send + Sync {
    /// Takes what it can; `None` if the run is over.
    async fn receive(&self, bundle: Arc<Bundle>) -> Option<Reception>;
}

/// A trace that this process has begun or ceased to take spans for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceChange {
    /// It takes them from now on.
    Begun(TraceKey),
    /// It takes them no more.
    Over(TraceKey),
}

/// The runs of this process that take spans. Clones are the same hub.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Runs>>);

/// A run with the number of its registration.
type Place = (u64, Arc<dyn Recipient>);

#[derive(Default)]
struct Runs {
    /// Runs that continue the same trace share it.
    by_trace: HashMap<TraceKey, Vec<Place>>,
    last: u64,
    /// Who is told of changes. As many wait there as runs begin before they are looked at.
    watcher: Option<UnboundedSender<TraceChange>>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("traces", &self.runs().by_trace.len()).finish_non_exhaustive()
    }
}

/// A run's place at the hub. It takes spans until this is dropped.
#[derive(Debug)]
#[must_use = "a run takes spans for as long as this lives"]
pub struct Registration {
    hub: Hub,
    trace: TraceKey,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub.remove(self.trace, self.number);
    }
}

impl Hub {
    /// From now on spans of `trace` go to `recipient`.
    pub fn register(&self, trace: TraceKey, recipient: Arc<dyn Recipient>) -> Registration {
        let mut runs = self.runs();
        runs.last += 1;
        let number = runs.last;
        let places = runs.by_trace.entry(trace).or_default();
        places.push((number, recipient));
        if places.len() == 1 {
            runs.tell(TraceChange::Begun(trace));
        }
        drop(runs);
        Registration { hub: self.clone(), trace, number }
    }

    /// Tells of every trace from now on, and of those that there are. Only the last who asks is told.
    #[must_use]
    pub fn watch(&self) -> UnboundedReceiver<TraceChange> {
        let (watcher, changes) = unbounded_channel();
        let mut runs = self.runs();
        let there: Vec<TraceKey> = runs.by_trace.keys().copied().collect();
        runs.watcher = Some(watcher);
        for trace in there {
            runs.tell(TraceChange::Begun(trace));
        }
        changes
    }

    /// Offers spans to the runs of this process that have their trace; `None` if none does.
    pub async fn offer(&self, bundle: &Arc<Bundle>) -> Option<Reception> {
        let places = self.runs().by_trace.get(&bundle.trace).cloned().unwrap_or_default();
        let mut best: Option<Reception> = None;
        for (_, recipient) in places {
            let said = recipient.receive(Arc::clone(bundle)).await.map(|said| said.of(bundle.spans()));
            best = match (best, said) {
                (Some(best), Some(said)) => Some(best.better(said)),
                (best, said) => best.or(said),
            };
        }
        best
    }

    fn remove(&self, trace: TraceKey, number: u64) {
        let mut runs = self.runs();
        let Some(places) = runs.by_trace.get_mut(&trace) else { return };
        places.retain(|(other, _)| *other != number);
        if places.is_empty() {
            runs.by_trace.remove(&trace);
            runs.tell(TraceChange::Over(trace));
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        // Every change leaves the runs whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    fn tell(&self, change: TraceChange) {
        if let Some(watcher) = &self.watcher {
            // Whoever watches no more needs to know nothing.
            let _ = watcher.send(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Takes(u64, bool);

    #[async_trait]
    impl Recipient for Takes {
        async fn receive(&self, bundle: Arc<Bundle>) -> Option<Reception> {
            let mut said = Reception { taken: self.0, owns: self.1, ..Reception::default() };
            said.refuse(super::super::Refusal::Full, bundle.spans() - self.0);
            Some(said)
        }
    }

    #[tokio::test]
    async fn a_run_takes_spans_for_as_long_as_it_is_registered_and_whoever_watches_is_told() {
        let hub = Hub::default();
        let (trace, bundle) = ([7; 16], Arc::new(Bundle { trace: [7; 16], groups: Vec::new() }));
        let first = hub.register(trace, Arc::new(Takes(0, false)));
        let mut changes = hub.watch();
        let second = hub.register(trace, Arc::new(Takes(0, true)));
        assert!(hub.offer(&bundle).await.unwrap().owns);
        drop(second);
        assert!(!hub.offer(&bundle).await.unwrap().owns);
        drop(first);
        assert_eq!(hub.offer(&bundle).await, None);
        assert_eq!(changes.recv().await, Some(TraceChange::Begun(trace)));
        assert_eq!(changes.recv().await, Some(TraceChange::Over(trace)));
        assert!(changes.try_recv().is_err());
    }
}
