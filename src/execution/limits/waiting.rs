//! Who is told that a call waits for its turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::execution::failure::RunFailure;
use crate::execution::ports::{ChatModel, RunSpan};
use crate::execution::types::{ChatReply, ChatRequest, ModelName, SpanNote};

/// The shortest wait that a span tells of: what is shorter is the limiter's own work.
const NOTICEABLE: Duration = Duration::from_millis(20);

/// Is told of waits, each from its beginning to its end, however it ends.
pub trait Waiting: Send + Sync {
    /// A wait begins.
    fn begins(&self);

    /// A wait is over.
    fn over(&self, waited: Duration);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Waiting for Unwatched {
    fn begins(&self) {}

    fn over(&self, _: Duration) {}
}

/// Two are told.
pub struct Both<'a>(pub &'a dyn Waiting, pub &'a dyn Waiting);

impl Waiting for Both<'_> {
    fn begins(&self) {
        self.0.begins();
        self.1.begins();
    }

    fn over(&self, waited: Duration) {
        self.0.over(waited);
        self.1.over(waited);
    }
}

/// A span that tells how long its call waited.
pub struct SpanWaits<'a>(pub &'a dyn RunSpan);

impl Waiting for SpanWaits<'_> {
    fn begins(&self) {}

    fn over(&self, waited: Duration) {
        if waited >= NOTICEABLE {
            self.0.note(SpanNote::Waited { waited });
        }
    }
}

/// How long the calls of one turn waited in all.
#[derive(Debug, Default)]
pub struct TotalWait(AtomicU64);

impl TotalWait {
    /// The time so far.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Waiting for TotalWait {
    fn begins(&self) {}

    fn over(&self, waited: Duration) {
        self.0.fetch_add(waited.as_micros().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A wait under way. It is over when this is dropped, also where whoever waited gave up.
pub(in crate::execution) struct Wait<'a> {
    waiting: &'a dyn Waiting,
    began: Instant,
}

impl<'a> Wait<'a> {
    pub(in crate::execution) fn begin(waiting: &'a dyn Waiting) -> Self {
        waiting.begins();
        Self { waiting, began: Instant::now() }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waiting.over(self.began.elapsed());
    }
}

/// A model of whose waits one more is told.
pub struct Announcing<'a> {
    /// The model.
    pub model: &'a dyn ChatModel,
    /// Who is told.
    pub waiting: &'a dyn Waiting,
}

#[async_trait]
impl ChatModel for Announcing<'_> {
    fn name(&self) -> &ModelName {
        self.model.name()
    }

    fn behind(&self) -> Option<&dyn ChatModel> {
        Some(self.model)
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        self.model.chat_watched(request, &Both(self.waiting, waiting)).await
    }
}
