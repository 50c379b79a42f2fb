//! The clock that all workers share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_trait::async_trait;
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::execution::failure::Unavailable;

/// How long an agreement is good for: far less than two machines' clocks drift apart by a millisecond or so.
const AGREEMENT: Duration = Duration::from_mins(1);
/// Nanoseconds in the unit of the clock.
const MICROSECOND: i128 = 1_000;

/// A clock that shows the same to all workers, in microseconds since 1970.
#[async_trait]
pub trait SharedClock: Send + Sync {
    /// Makes sure that the clock is the shared one.
    ///
    /// # Errors
    /// [`Unavailable`] if there is nobody to agree with.
    async fn agree(&self) -> Result<(), Unavailable>;

    /// The time.
    fn now(&self) -> i64;

    /// Waits until the clock shows `at`.
    async fn until(&self, at: i64);
}

/// The clock of the server that leads a stream, kept up by this machine's monotonic one. What this machine takes for
/// the time of day plays no part; the error is at most the time of one request.
pub(super) struct ServerClock {
    jetstream: Context,
    stream: String,
    agreed: Mutex<Option<Agreed>>,
}

#[derive(Clone, Copy)]
struct Agreed {
    shown: i64,
    at: Instant,
}

/// What the server says of a stream; its time is all that matters here.
#[derive(Deserialize)]
struct Info {
    #[serde(with = "time::serde::rfc3339")]
    ts: OffsetDateTime,
}

impl ServerClock {
    pub(super) fn new(jetstream: &Context, stream: String) -> Self {
        Self { jetstream: jetstream.clone(), stream, agreed: Mutex::new(None) }
    }

    fn agreed(&self) -> Option<Agreed> {
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server read its clock somewhere between question and answer: in the middle, as far as anybody knows.
    async fn ask(&self) -> Result<Agreed, Unavailable> {
        let asked = Instant::now();
        let info: Info = self
            .jetstream
            .request(format!("STREAM.INFO.{}", self.stream), &())
            .await
            .map_err(|error| Unavailable::new("asking the server for its time", error))?;
        let shown = i64::try_from(info.ts.unix_timestamp_nanos() / MICROSECOND).unwrap_or_default();
        Ok(Agreed { shown, at: asked + asked.elapsed() / 2 })
    }
}

#[async_trait]
impl SharedClock for ServerClock {
    /// Where the server does not answer, an old agreement is better than none.
    async fn agree(&self) -> Result<(), Unavailable> {
        let before = self.agreed();
        if before.is_some_and(|agreed| agreed.at.elapsed() < AGREEMENT) {
            return Ok(());
        }
        match (self.ask().await, before) {
            (Ok(agreed), _) => *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(agreed),
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => tracing::debug!(%error, "the server's time is not asked anew"),
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        let Some(Agreed { shown, at }) = self.agreed() else { return 0 };
        shown.saturating_add(at.elapsed().as_micros().try_into().unwrap_or(i64::MAX))
    }

    async fn until(&self, at: i64) {
        let left = at.saturating_sub(self.now()).max(0).unsigned_abs();
        tokio::time::sleep(Duration::from_micros(left)).await;
    }
}
