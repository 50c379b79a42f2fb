//! The right to make a call, as whoever makes it holds it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::KvLimiter;
use super::keeper::Message;
use super::pace::Refused;
use crate::execution::limits::{Permit, Scope, ScopeKind, Throttled};

/// A call's part in one scope. Dropping it gives its place back.
pub(super) struct Pass {
    /// Whether it holds a place.
    pub(super) place: bool,
    /// The moment that it was given.
    pub(super) moment: i64,
    pub(super) desk: mpsc::UnboundedSender<Message>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.place {
            // A keeper that is gone has nothing left to give back.
            drop(self.desk.send(Message::Release));
        }
    }
}

/// A call's part in all of its scopes.
pub(super) struct KvPermit {
    limiter: KvLimiter,
    scopes: Vec<Scope>,
    _passes: Vec<Pass>,
    /// When the call began.
    began: Mutex<i64>,
}

impl KvPermit {
    pub(super) fn new(limiter: KvLimiter, scopes: &[Scope], passes: Vec<Pass>) -> Self {
        let began = Mutex::new(limiter.now());
        Self { limiter, scopes: scopes.to_vec(), _passes: passes, began }
    }
}

#[async_trait]
impl Permit for KvPermit {
    /// A project is nobody who could be asked for too much.
    fn refused(&self, throttled: Throttled) {
        let Some(scope) = self.scopes.first().filter(|scope| scope.kind != ScopeKind::Project) else {
            return;
        };
        self.limiter.count_refusal(scope.kind);
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = throttled.retry_after.unwrap_or_default().as_micros();
        let refused = Refused { began, retry_after: i64::try_from(asked).unwrap_or(i64::MAX) };
        self.limiter.tell(scope, Message::Refused(refused));
    }

    async fn again(&self) {
        for scope in &self.scopes {
            drop(self.limiter.pass(scope, false).await);
        }
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = self.limiter.now();
    }
}
