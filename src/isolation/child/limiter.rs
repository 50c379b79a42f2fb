//! The limits of the run's calls, which the worker keeps together with all others.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::line::Line;
use crate::execution::limits::{Limiter, Permit, Scope, Throttled};
use crate::isolation::frames::{Answer, Call, FromChild, PermitCall};

/// Asks the worker for the turn of each call.
pub struct PipeLimiter(pub Line);

/// A call that waits for its turn, or is made. Dropping this tells the worker that it is over, or given up.
struct Turn {
    line: Line,
    id: u64,
}

impl Turn {
    async fn of(line: &Line, call: PermitCall) -> Self {
        let (id, answer) = line.begin(Call::Permit(call));
        let turn = Self { line: line.clone(), id };
        turn.come(answer).await;
        turn
    }

    /// No call is made that the worker has not let through.
    async fn come(&self, answer: oneshot::Receiver<Answer>) {
        if !matches!(answer.await, Ok(Answer::Done)) {
            tracing::error!(call = self.id, "the worker does not let a call through that it should limit");
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.forget(self.id);
        self.line.say(&FromChild::Over { call: self.id });
    }
}

#[async_trait]
impl Limiter for PipeLimiter {
    async fn admit(&self, scopes: &[Scope]) -> Box<dyn Permit> {
        Box::new(Turn::of(&self.0, PermitCall::First(scopes.to_vec())).await)
    }
}

#[async_trait]
impl Permit for Turn {
    fn refused(&self, throttled: Throttled) {
        self.line.say(&FromChild::Throttled { call: self.id, throttled });
    }

    async fn again(&self) {
        drop(Self::of(&self.line, PermitCall::Again(self.id)).await);
    }
}
