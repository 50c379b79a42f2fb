//! Which runs of this process wait for which cancel marks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Keys of a run: its own mark and its batch's.
type Keys = [String; 2];
type Tokens = HashMap<String, HashMap<u64, CancellationToken>>;

/// The runs that wait, by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tokens: Mutex<Tokens>,
    next: AtomicU64,
}

impl Inner {
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        // Every change is a single insert or remove, so a panic leaves the map whole.
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// A handle that fires with either of `keys`.
    pub(super) fn register(&self, keys: Keys) -> CancelHandle {
        let (token, id) = (CancellationToken::new(), self.0.next.fetch_add(1, Ordering::Relaxed));
        let mut tokens = self.0.tokens();
        for key in &keys {
            tokens.entry(key.clone()).or_default().insert(id, token.clone());
        }
        drop(tokens);
        CancelHandle { token, id, keys, registry: Arc::clone(&self.0) }
    }

    /// Cancels whoever waits for `key`.
    pub(super) fn fire(&self, key: &str) {
        let waiting: Vec<CancellationToken> =
            self.0.tokens().get(key).map(|tokens| tokens.values().cloned().collect()).unwrap_or_default();
        for token in waiting {
            token.cancel();
        }
    }

    /// Every key that a run waits for.
    pub(super) fn keys(&self) -> Vec<String> {
        self.0.tokens().keys().cloned().collect()
    }
}

/// A run's interest in being cancelled. Dropping it ends the interest.
#[derive(Debug)]
pub struct CancelHandle {
    token: CancellationToken,
    id: u64,
    keys: Keys,
    registry: Arc<Inner>,
}

impl CancelHandle {
    /// Fires when the run is cancelled.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for CancelHandle {
    fn drop(&mut self) {
        let mut tokens = self.registry.tokens();
        for key in &self.keys {
            if let Some(waiting) = tokens.get_mut(key) {
                waiting.remove(&self.id);
                if waiting.is_empty() {
                    tokens.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(run: &str) -> Keys {
        [run.to_owned(), "batch".to_owned()]
    }

    #[test]
    fn a_mark_reaches_the_runs_that_wait_for_it_and_no_other() {
        let registry = Registry::default();
        let (a, b) = (registry.register(keys("a")), registry.register(keys("b")));
        registry.fire("a");
        assert!(a.token().is_cancelled() && !b.token().is_cancelled());
        registry.fire("batch");
        assert!(b.token().is_cancelled());
    }

    #[test]
    fn a_dropped_handle_leaves_nothing_behind() {
        let registry = Registry::default();
        let (a, b) = (registry.register(keys("a")), registry.register(keys("b")));
        drop(a);
        let mut left = registry.keys();
        left.sort();
        assert_eq!(left, ["b", "batch"]);
        drop(b);
        assert!(registry.keys().is_empty());
    }
}
