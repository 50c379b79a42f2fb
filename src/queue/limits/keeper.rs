//! The task that keeps a worker's part in a scope: all of its calls ask through it, so that many of them are one
//! request to the broker.

use std::ops::Range;
use std::sync::Weak;
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::mpsc;
use tracing::warn;

use super::desk::{Asked, Desk};
use super::pace::{Refused, SECOND};
use super::permit::Pass;
use super::state::{ScopeState, Share};
use super::{Inner, Office};
use crate::definitions::CallLimits;
use crate::execution::failure::Unavailable;
use crate::execution::limits::Scope;
use crate::queue::bucket::{Stored, WriteError};
use crate::text::chain;

/// How long who lacks a place waits before it asks again, in microseconds: by chance, so that workers take turns.
const PAUSE: Range<i64> = SECOND / 40..SECOND / 5;
/// How long a keeper waits that met an outage, in microseconds.
const OUTAGE_PAUSE: Range<i64> = SECOND / 2..SECOND * 2;
/// How long a worker waits that others wrote before, for each time that it happened, in milliseconds; and at most.
const CONFLICT_PAUSE_MS: u64 = 4;
const LONGEST_CONFLICT_PAUSE_MS: u64 = 128;
/// How long a scope is kept that no one uses: longer than a pace takes to recover and than a pause lasts.
const STATE_TTL: Duration = Duration::from_mins(15);
/// How long a keeper stays that has nothing to keep, in microseconds.
const IDLE: i64 = 60 * SECOND;

/// What is said to a keeper.
pub(super) enum Message {
    /// A call wants to begin.
    Ask(Asked, CallLimits),
    /// A call is over.
    Release,
    /// A call was refused.
    Refused(Refused),
}

/// Keeps one scope.
pub(super) struct Keeper {
    key: String,
    desk: Desk,
    office: Office,
    limiter: Weak<Inner>,
    messages: mpsc::UnboundedReceiver<Message>,
    /// Where passes come back to. It is weak, so that the keeper ends with its limiter.
    own: mpsc::WeakUnboundedSender<Message>,
    failing: bool,
}

impl Keeper {
    /// Starts the keeper of `scope`.
    pub(super) fn start(
        scope: &Scope,
        office: Office,
        limiter: Weak<Inner>,
    ) -> mpsc::UnboundedSender<Message> {
        let (sender, messages) = mpsc::unbounded_channel();
        let desk = Desk::new(scope.limits, office.lease);
        let (key, own) = (key(scope), sender.downgrade());
        tokio::spawn(Self { key, desk, office, limiter, messages, own, failing: false }.run());
        sender
    }

    async fn run(mut self) {
        while self.turn().await {
            while let Ok(message) = self.messages.try_recv() {
                self.take(message);
            }
            self.hand_out();
            let now = self.office.clock.now();
            if self.desk.ask_due(now).is_some_and(|due| due <= now) {
                self.ask().await;
                self.hand_out();
            }
        }
    }

    /// Waits until there is something to do; false if there never is again.
    async fn turn(&mut self) -> bool {
        let now = self.office.clock.now();
        let due = self.desk.due(now);
        let clock = self.office.clock.clone();
        tokio::select! {
            biased;
            message = self.messages.recv() => match message {
                Some(message) => self.take(message),
                None => return false,
            },
            () = clock.until(due.unwrap_or(now + IDLE)) => {
                return due.is_some() || !self.desk.is_empty() || !self.retires();
            }
        }
        true
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask(asked, limits) => {
                self.desk.limit(limits);
                self.desk.ask(asked);
            }
            Message::Release => self.desk.release(self.office.clock.now()),
            Message::Refused(refused) => self.desk.refuse(refused),
        }
    }

    fn hand_out(&mut self) {
        let Some(own) = self.own.upgrade() else { return };
        let pass = |place, moment| Pass { place, moment, desk: own.clone() };
        self.desk.hand_out(self.office.clock.now(), pass);
    }

    /// Leaves, unless somebody has asked in this moment.
    fn retires(&self) -> bool {
        let Some(limiter) = self.limiter.upgrade() else { return true };
        limiter.dismiss(&self.key, &self.messages)
    }

    async fn ask(&mut self) {
        self.desk.prune();
        let asked_at = self.office.clock.now();
        let shared = self.share().await;
        let now = self.office.clock.now();
        match shared {
            Ok(share) => {
                self.desk.granted(share, asked_at, now, by_chance(PAUSE));
                self.failing = false;
            }
            Err(error) => {
                self.desk.failed(now, by_chance(OUTAGE_PAUSE));
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(error = %chain(&error), "limited calls wait: the limits cannot be agreed on");
                }
            }
        }
    }

    /// Reads, shares out and writes, again until nobody wrote in between.
    async fn share(&self) -> Result<Share, Unavailable> {
        self.office.clock.agree().await?;
        let mut pause_ms = CONFLICT_PAUSE_MS;
        loop {
            match self.try_share().await {
                Ok(share) => return Ok(share),
                Err(WriteError::WrongRevision) => {}
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(error @ WriteError::TooLarge(_)) => {
                    return Err(Unavailable::new(format!("writing the limit {}", self.key), error));
                }
            }
            tokio::time::sleep(conflict_pause(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(LONGEST_CONFLICT_PAUSE_MS);
        }
    }

    async fn try_share(&self) -> Result<Share, WriteError> {
        let Office { bucket, clock, worker, .. } = &self.office;
        let stored = bucket.read(&self.key).await.map_err(WriteError::Unavailable)?;
        let (before, now) = (self.known(&stored), clock.now());
        let (mut state, need) = (before.clone(), self.desk.need(worker));
        let share = state.share_out(&need, now);
        if state.says_the_same(&before, worker, now, need.lease) {
            return Ok(share);
        }
        let unwritable = |error| Unavailable::new(format!("writing down the limit {}", self.key), error);
        let value = serde_json::to_vec(&state).map_err(unwritable).map_err(WriteError::Unavailable)?;
        bucket.write(&self.key, value.into(), Some(stored.revision), Some(STATE_TTL)).await?;
        Ok(share)
    }

    /// What cannot be read is begun anew: the workers say again what they have.
    fn known(&self, stored: &Stored) -> ScopeState {
        let Some(value) = &stored.value else { return ScopeState::default() };
        serde_json::from_slice(value).unwrap_or_else(|error| {
            warn!(key = self.key, %error, "what is kept of a limit cannot be read and is begun anew");
            ScopeState::default()
        })
    }
}

pub(super) fn key(scope: &Scope) -> String {
    format!("{}.{}", scope.kind.as_str(), scope.id)
}

fn conflict_pause(longest_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(0..=longest_ms))
}

fn by_chance(range: Range<i64>) -> i64 {
    rand::rng().random_range(range)
}
