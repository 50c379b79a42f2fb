//! Calls of a run that wait for their turn, or are under way: the limits are the worker's to keep.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{AbortHandle, Abortable, BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::desk::Violation;
use crate::events::RunRequest;
use crate::execution::limits::{Limiter, Permit, Scope, Throttled};
use crate::isolation::Snapshot;
use crate::isolation::frames::PermitCall;

/// The most calls of one run that wait or are under way. A panel of nine judges is what makes most of them at once.
const MOST_PERMITS: usize = 64;

/// The calls of one run's process. Dropping this ends all of them: a process that is gone makes none.
pub(super) struct Permits<'a> {
    limiter: &'a dyn Limiter,
    /// What the run may be limited by: a process must not use up what is others'.
    scopes: Vec<Scope>,
    waits: FuturesUnordered<Abortable<BoxFuture<'a, (u64, Turn)>>>,
    waiting: HashMap<u64, AbortHandle>,
    held: HashMap<u64, Held>,
}

/// What was waited for.
enum Turn {
    First(Box<dyn Permit>),
    /// The call of that number may be made once more.
    Again(u64),
}

struct Held {
    permit: Arc<dyn Permit>,
    /// A try is refused once at most.
    may_be_refused: bool,
}

/// Every scope that a call of the run may be in.
pub(super) fn scopes_of(request: &RunRequest, found: &Snapshot) -> Vec<Scope> {
    let (project, target) = (&request.key.project, &request.target);
    let agent = found.agent.iter().filter(|agent| agent.kind == target.kind);
    let targets = agent.filter_map(|agent| Scope::target(project, &target.reference_id, agent.limits));
    let providers = found.providers.iter().filter_map(|provider| Scope::provider(project, provider));
    let projects = found.project.iter().filter_map(|own| Scope::project(project, own.limits));
    targets.chain(providers).chain(projects).collect()
}

impl<'a> Permits<'a> {
    pub(super) fn new(limiter: &'a dyn Limiter, scopes: Vec<Scope>) -> Self {
        let (waits, waiting, held) = Default::default();
        Self { limiter, scopes, waits, waiting, held }
    }

    /// Lets a call wait for its turn.
    pub(super) fn take(&mut self, id: u64, call: PermitCall) -> Result<(), Violation> {
        if self.waiting.contains_key(&id) || self.held.contains_key(&id) {
            return Err(Violation("two of its calls have the same number"));
        }
        if self.waiting.len() + self.held.len() >= MOST_PERMITS {
            return Err(Violation("it makes too many calls at once"));
        }
        let wait = match call {
            PermitCall::First(scopes) => self.first(id, scopes)?,
            PermitCall::Again(first) => self.again(id, first)?,
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.waiting.insert(id, handle);
        self.waits.push(Abortable::new(wait, registration));
        Ok(())
    }

    /// Scopes are asked for in one order, or two runs would wait for each other.
    fn first(&self, id: u64, scopes: Vec<Scope>) -> Result<BoxFuture<'a, (u64, Turn)>, Violation> {
        let in_order = scopes.is_sorted_by(|one, next| one.kind < next.kind);
        if !(in_order && scopes.iter().all(|scope| self.scopes.contains(scope))) {
            return Err(Violation("it is no run with such limits"));
        }
        let limiter = self.limiter;
        Ok(async move { (id, Turn::First(limiter.admit(&scopes).await)) }.boxed())
    }

    fn again(&self, id: u64, first: u64) -> Result<BoxFuture<'a, (u64, Turn)>, Violation> {
        let held = self.held.get(&first).ok_or(Violation("a call is made again that was never made"))?;
        let permit = Arc::clone(&held.permit);
        let wait = async move {
            permit.again().await;
            (id, Turn::Again(first))
        };
        Ok(wait.boxed())
    }

    /// Waits until a call may be made, for ever where none waits. It may be dropped and called again.
    pub(super) async fn next(&mut self) -> u64 {
        loop {
            match self.waits.next().await {
                Some(Ok((id, turn))) => {
                    self.waiting.remove(&id);
                    self.begin(id, turn);
                    return id;
                }
                // The process gave it up.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn begin(&mut self, id: u64, turn: Turn) {
        match turn {
            Turn::First(permit) => {
                self.held.insert(id, Held { permit: Arc::from(permit), may_be_refused: true });
            }
            Turn::Again(first) => {
                if let Some(held) = self.held.get_mut(&first) {
                    held.may_be_refused = true;
                }
            }
        }
    }

    /// Whoever was called said that there are too many calls.
    pub(super) fn refused(&mut self, id: u64, throttled: Throttled) {
        if let Some(held) = self.held.get_mut(&id).filter(|held| held.may_be_refused) {
            held.may_be_refused = false;
            held.permit.refused(throttled);
        }
    }

    /// A call is over, or is not waited for any more.
    pub(super) fn over(&mut self, id: u64) {
        if let Some(wait) = self.waiting.remove(&id) {
            wait.abort();
        }
        self.held.remove(&id);
    }
}
