//! The gate that calls of one callee go through.

use std::sync::Arc;

use super::waiting::{Unwatched, Wait};
use super::{Limiter, Permit, Scope, Throttled, Waiting};

/// Where calls of one callee wait for their turn. An open gate lets all of them through at once.
#[derive(Clone, Default)]
pub struct Gate(Option<Guard>);

#[derive(Clone)]
struct Guard {
    limiter: Arc<dyn Limiter>,
    scopes: Arc<[Scope]>,
}

impl Gate {
    /// A gate that limits nothing.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// The gate of calls in `scopes`, from the narrowest to the widest.
    pub fn new(limiter: &Arc<dyn Limiter>, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let scopes: Arc<[Scope]> = scopes.into_iter().collect();
        Self((!scopes.is_empty()).then(|| Guard { limiter: Arc::clone(limiter), scopes }))
    }

    /// Whether it limits nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Waits until a call may be made; `waiting` is told of it. Whoever gives up drops the future.
    pub async fn enter(&self, waiting: &dyn Waiting) -> Passage {
        let Some(Guard { limiter, scopes }) = &self.0 else { return Passage(None) };
        let _wait = Wait::begin(waiting);
        Passage(Some(limiter.admit(scopes).await))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gate").field(&self.0.as_ref().map(|guard| &guard.scopes)).finish()
    }
}

/// One call's way through its gate. The call counts as under way until this is dropped.
#[must_use = "the call counts as under way for as long as this lives"]
pub struct Passage(Option<Box<dyn Permit>>);

impl Passage {
    /// Tells what the callee said of the number of calls, if it said anything of it.
    pub fn tell(&self, throttled: Option<Throttled>) {
        if let (Some(permit), Some(throttled)) = (&self.0, throttled) {
            permit.refused(throttled);
        }
    }

    /// Waits until the same call may be made once more.
    pub async fn again(&self, waiting: &dyn Waiting) {
        if let Some(permit) = &self.0 {
            let _wait = Wait::begin(waiting);
            permit.again().await;
        }
    }
}

/// What a target's turn knows of the limits: who is told of waiting, and the passage that the turn has.
#[derive(Clone, Copy, Default)]
pub struct Admission<'a> {
    waiting: Option<&'a dyn Waiting>,
    passage: Option<&'a Passage>,
}

impl<'a> Admission<'a> {
    /// A turn that has no passage yet.
    #[must_use]
    pub fn watched_by(waiting: &'a dyn Waiting) -> Self {
        Self { waiting: Some(waiting), passage: None }
    }

    /// The turn has gone through its gate.
    #[must_use]
    pub fn through(self, passage: &'a Passage) -> Self {
        Self { passage: Some(passage), ..self }
    }

    /// Who is told of waiting.
    #[must_use]
    pub fn waiting(self) -> &'a dyn Waiting {
        self.waiting.unwrap_or(&Unwatched)
    }

    /// For an adapter that makes the turn's request another time: tells what the callee said of the number of calls,
    /// and waits until there may be one more.
    pub async fn again(self, throttled: Option<Throttled>) {
        if let Some(passage) = self.passage {
            passage.tell(throttled);
            passage.again(self.waiting()).await;
        }
    }
}
