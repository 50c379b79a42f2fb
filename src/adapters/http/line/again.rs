//! Asking an agent behind a protocol again, by the rules that hold for agents of type `http`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use crate::adapters::http::attempt::Failed;
use crate::adapters::http::no_reply::NoReply;
use crate::adapters::http::request::{IDEMPOTENCY_KEY, Outgoing};
use crate::adapters::http::response::asked_pause;
use crate::adapters::http::retry::{JITTER, Trouble};
use crate::adapters::http::transport::Arrived;
use crate::adapters::http::tries::told;
use crate::execution::failure::RunFailure;
use crate::execution::limits::Throttled;

/// What broke an answer off that had begun.
#[derive(Clone, Default)]
pub(super) struct Breakage(Arc<Mutex<Option<Trouble>>>);

impl Breakage {
    /// The failure that `error` is for the run.
    pub(super) fn by(&self, error: NoReply) -> RunFailure {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error.trouble();
        error.into()
    }

    fn take(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How often a turn was tried, and how long there is for it.
pub(super) struct Tries {
    /// How often the question was sent.
    asked: AtomicU32,
    /// How often the whole exchange was begun.
    begun: AtomicU32,
    /// A pause that was longer than there was time.
    too_long: Mutex<Option<Duration>>,
    /// When everything has to be over; `None` while the right to call is waited for.
    deadline: watch::Sender<Option<Instant>>,
    pub(super) breakage: Breakage,
}

impl Tries {
    pub(super) fn until(deadline: Instant) -> Self {
        Self {
            asked: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            too_long: Mutex::default(),
            deadline: watch::Sender::new(Some(deadline)),
            breakage: Breakage::default(),
        }
    }

    fn most(&self) -> u32 {
        self.asked.load(Ordering::SeqCst).max(self.begun.load(Ordering::SeqCst))
    }
}

impl Call<'_> {
    /// Sends `request` as often as the definition allows, until its answer begins and is none to ask again after.
    pub(super) async fn ask(&self, request: &Outgoing) -> Result<Arrived, Failed> {
        let aside = AtomicU32::new(0);
        let is_question = request.headers.contains_key(&IDEMPOTENCY_KEY);
        let count = if is_question { &self.tries.asked } else { &aside };
        loop {
            let attempts = count.fetch_add(1, Ordering::SeqCst) + 1;
            let sent = self.once(request).await;
            let trouble = match &sent {
                Ok(arrived) if arrived.status.is_success() => None,
                Ok(arrived) => Some((Trouble::Status(arrived.status), asked_pause(&arrived.headers))),
                Err(failed) => failed.trouble(),
            };
            let Some((trouble, asked)) = trouble else { return sent };
            if !self.may_try(attempts, trouble, asked).await {
                return sent;
            }
        }
    }

    /// Begins the exchange anew if its answer broke off and that may be; `false` if it may not.
    pub(in crate::adapters) async fn begins_again(&self) -> bool {
        self.tries.begun.fetch_add(1, Ordering::SeqCst);
        match self.tries.breakage.take() {
            Some(trouble) => self.may_try(self.tries.most(), trouble, None).await,
            None => false,
        }
    }

    /// Waits until the agent may be asked again; `false` if it may not.
    async fn may_try(&self, attempts: u32, trouble: Trouble, asked: Option<Duration>) -> bool {
        let chance = rand::random_range(JITTER);
        let Some(pause) = self.retries().pause(attempts, trouble, asked, chance) else { return false };
        let deadline = *self.tries.deadline.borrow();
        if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            *self.tries.too_long.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
            return false;
        }
        tokio::time::sleep(pause).await;
        self.tries.deadline.send_replace(None);
        let deadline = self.admitted_again(throttled(trouble, asked)).await;
        self.tries.deadline.send_replace(Some(deadline));
        true
    }

    /// Ends when the time for the turn is over. Waiting for the right to call is no part of it.
    pub(in crate::adapters) async fn out_of_time(&self) {
        let mut changes = self.tries.deadline.subscribe();
        loop {
            let deadline = *changes.borrow_and_update();
            // The sender lives as long as the call.
            match deadline {
                Some(deadline) => tokio::select! {
                    () = sleep_until(deadline) => return,
                    _ = changes.changed() => {}
                },
                None => drop(changes.changed().await),
            }
        }
    }

    /// The failure, with how often the agent was asked.
    pub(super) fn told(&self, failure: RunFailure) -> RunFailure {
        let too_long = *self.tries.too_long.lock().unwrap_or_else(PoisonError::into_inner);
        told(failure, self.tries.most(), too_long)
    }
}

fn throttled(trouble: Trouble, retry_after: Option<Duration>) -> Option<Throttled> {
    let busy = Trouble::Status(http::StatusCode::TOO_MANY_REQUESTS);
    (trouble == busy).then_some(Throttled { retry_after })
}
