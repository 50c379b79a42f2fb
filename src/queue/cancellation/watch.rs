//! Cancel marks reach the runs that wait for them.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, WatchError};
use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info};

use super::Cancellations;
use crate::events::subjects;
use crate::queue::retry::Pause;

/// How often the marks of the runs in this process are read, whether or not the watch says anything.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl Cancellations {
    /// Never returns.
    pub(super) async fn watch(&self) -> Infallible {
        tokio::join!(self.follow_marks(), self.sweep()).0
    }

    /// Follows the marks. A watch that breaks is opened again and begins with every mark there is.
    async fn follow_marks(&self) -> Infallible {
        let mut pause = Pause::default();
        loop {
            if let Err(error) = self.follow_one_watch(&mut pause).await {
                info!(%error, "the watch on cancel marks could not be opened; trying again");
            }
            tokio::time::sleep(pause.next()).await;
        }
    }

    async fn follow_one_watch(&self, pause: &mut Pause) -> Result<(), WatchError> {
        let mut marks = self.store.watch_many_with_history(subjects::CANCEL_KEYS).await?;
        *pause = Pause::default();
        while let Some(mark) = marks.next().await {
            match mark {
                Ok(Entry { key, operation: Operation::Put, .. }) => self.registry.fire(&key),
                Ok(_) => {}
                Err(error) => {
                    info!(%error, "the watch on cancel marks broke; opening it again");
                    break;
                }
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Infallible {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for key in self.registry.keys() {
                match self.bucket.read(&key).await {
                    Ok(mark) if mark.value.is_some() => self.registry.fire(&key),
                    Ok(_) => {}
                    Err(error) => {
                        debug!(%error, "a cancel mark could not be read; the next sweep tries again");
                    }
                }
            }
        }
    }
}
