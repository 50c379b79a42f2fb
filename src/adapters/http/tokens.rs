//! OAuth 2.0 tokens: one for each set of credentials, shared by every run of this process that has them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex as AsyncMutex;

use super::oauth2::{Grant, Granted};
use crate::definitions::Secret;
use crate::execution::failure::RunFailure;
use crate::execution::ports::Clock;
use crate::recent::Recent;

/// Sets of credentials whose tokens are kept. More only cost another fetch.
const MOST_TOKENS: usize = 1024;
/// How long before its end a token is replaced: a call that begins with it may take a while to arrive.
const MARGIN: Duration = Duration::seconds(30);
/// How long a token is used whose server does not say: as long as the shortest that are usual.
const USUAL_LIFETIME: Duration = Duration::minutes(5);

/// The tokens of this process.
pub(super) struct Tokens {
    clock: Arc<dyn Clock>,
    slots: Mutex<Recent<[u8; 32], Arc<Slot>>>,
}

/// The token of one set of credentials. Whoever fetches one holds the lock, and everybody else waits for what comes of it.
#[derive(Default)]
struct Slot {
    /// Fetches that have ended.
    fetches: AtomicU64,
    held: AsyncMutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// What the last fetch came to, if to nothing.
    failure: Option<RunFailure>,
}

struct Token {
    value: Secret,
    replaced_at: OffsetDateTime,
}

impl Tokens {
    /// None so far; `clock` tells when they are too old.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Mutex::new(Recent::new(MOST_TOKENS)) }
    }

    /// A token for `grant` that is not the one that was `refused`.
    pub(super) async fn token(&self, grant: &Grant, refused: Option<&Secret>) -> Result<Secret, RunFailure> {
        let slot = self.slot(grant);
        let before = slot.fetches.load(Ordering::SeqCst);
        let mut held = slot.held.lock().await;
        let is_good = |token: &&Token| refused != Some(&token.value) && self.clock.now() < token.replaced_at;
        if let Some(token) = held.token.as_ref().filter(is_good) {
            return Ok(token.value.clone());
        }
        // Whoever waited for a fetch that failed fails with it: one after the other they would wait for ever.
        if let Some(failure) = held.failure.as_ref().filter(|_| slot.fetches.load(Ordering::SeqCst) != before)
        {
            return Err(failure.clone());
        }
        let fetched = self.fetch(grant).await;
        slot.fetches.fetch_add(1, Ordering::SeqCst);
        held.failure = fetched.as_ref().err().cloned();
        let token = fetched?;
        Ok(held.token.insert(token).value.clone())
    }

    async fn fetch(&self, grant: &Grant) -> Result<Token, RunFailure> {
        let asked_at = self.clock.now();
        let Granted { token, lifetime } = grant.fetch().await?;
        Ok(Token { value: token, replaced_at: replaced_at(asked_at, lifetime) })
    }

    fn slot(&self, grant: &Grant) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(slot) = slots.get_or_make(grant.digest(), || Ok::<_, Infallible>(Arc::default()));
        slot
    }
}

/// A token that is short-lived is used for half of its life at least.
fn replaced_at(asked_at: OffsetDateTime, lifetime: Option<Duration>) -> OffsetDateTime {
    let lifetime = lifetime.unwrap_or(USUAL_LIFETIME);
    asked_at.checked_add(lifetime - MARGIN.min(lifetime / 2)).unwrap_or(asked_at)
}
