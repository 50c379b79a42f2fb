//! How much room the spool has left.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::execution::failure::Unavailable;
use crate::telemetry::spool::NotKept;

/// How long what the server said of the spool's size is good for. Whoever keeps spans meanwhile is added to it: while
/// an endpoint is away, thousands of runs may ask at once.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Room for `most` bytes, of which clones share their knowledge. Several workers may pass the bound by what they keep within
/// [`GOOD_FOR`]. A bound in the stream's definition would be taken from what the server has for everybody, used or not.
#[derive(Clone)]
pub(super) struct Room {
    stored: Stream,
    most: u64,
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Clone, Copy)]
struct Known {
    at: Instant,
    used: u64,
}

impl Room {
    pub(super) fn new(stored: &Stream, most: u64) -> Self {
        Self { stored: stored.clone(), most, known: Arc::default() }
    }

    /// Takes room for `bytes`, if there is some.
    ///
    /// # Errors
    /// [`NotKept`] if there is none, or the broker does not say.
    pub(super) async fn take(&self, bytes: usize) -> Result<(), NotKept> {
        let mut known = self.known.lock().await;
        let now = match *known {
            Some(known) if known.at.elapsed() < GOOD_FOR => known,
            _ => self.look().await?,
        };
        let used = now.used.saturating_add(bytes as u64);
        if used > self.most {
            *known = Some(now);
            return Err(NotKept::Full { used: now.used, most: self.most });
        }
        *known = Some(Known { used, ..now });
        Ok(())
    }

    async fn look(&self) -> Result<Known, Unavailable> {
        let looking = |error| Unavailable::new("looking up how much is spooled", error);
        let used = self.stored.get_info().await.map_err(looking)?.state.bytes;
        Ok(Known { at: Instant::now(), used })
    }
}
