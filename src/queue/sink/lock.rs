//! One worker at a time tells of a run, so that what is told is told in its order.

use bytes::Bytes;
use tracing::debug;

use super::{SinkLog, Stored};
use crate::events::{RunKey, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::bucket::WriteError;

/// What the key of a lock that nobody holds has.
const FREE: Bytes = Bytes::new();

/// The right to tell of a run. It ends by itself if its worker is lost, so it has to be used within its time; and it has to be
/// given back, or nobody else can tell of the run until then.
#[derive(Debug)]
#[must_use = "it has to be given back"]
pub struct SinkLock {
    key: String,
    revision: u64,
}

impl SinkLog {
    /// Takes the right to tell of a run; `None` if somebody has it.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn lock(&self, run: &RunKey) -> Result<Option<SinkLock>, Unavailable> {
        let key = subjects::sink_lock_key(run);
        let Stored { revision, value } = self.bucket.read(&key).await?;
        if value.is_some_and(|holder| holder != FREE) {
            return Ok(None);
        }
        let holder = Bytes::from(format!("{:032x}", rand::random::<u128>()));
        match self.bucket.write(&key, holder.clone(), Some(revision), Some(self.lock_ttl)).await {
            Ok(revision) => Ok(Some(SinkLock { key, revision })),
            // It may have been this write, whose answer was lost.
            Err(WriteError::WrongRevision) => {
                let Stored { revision, value } = self.bucket.read(&key).await?;
                Ok(value.filter(|value| *value == holder).map(|_| SinkLock { key, revision }))
            }
            Err(WriteError::Unavailable(error)) => Err(error),
            Err(error @ WriteError::TooLarge(_)) => {
                Err(Unavailable::new(format!("writing the key {key}"), error))
            }
        }
    }

    /// Gives the right back. Where that fails it ends by itself.
    pub async fn unlock(&self, lock: SinkLock) {
        let SinkLock { key, revision } = lock;
        if let Err(error) = self.bucket.write(&key, FREE, Some(revision), Some(self.lock_ttl)).await {
            debug!(key, %error, "the right to tell of a run was not given back, and ends by itself");
        }
    }
}
