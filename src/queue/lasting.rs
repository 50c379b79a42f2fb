//! A consumer that the worker can do without for a while: when somebody deletes it, it is defined again or waited for.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::retry::Pause;
use super::topology::{ConsumerDefinition, TopologyError};
use super::{Connection, Consumer, ConsumerError, Delivery};
use crate::text::chain;

/// The longest pause before it is looked again whether the consumer is there. It grows to that, so that a fleet does not
/// knock all the time, and the error metrics go on to move.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Takes messages of a durable consumer, also of one that is deleted and comes back.
#[derive(Debug, Clone)]
pub struct LastingConsumer {
    consumer: Consumer,
    definition: ConsumerDefinition,
}

impl LastingConsumer {
    /// Takes messages of `durable`, which `definition` brings back; each pull is open for at most `pull_expires`.
    pub(super) fn new(
        connection: &Connection,
        durable: &PullConsumer,
        definition: ConsumerDefinition,
        pull_expires: Duration,
    ) -> Self {
        Self { consumer: Consumer::new(connection, durable, pull_expires), definition }
    }

    /// What the server calls it.
    #[must_use]
    pub fn name(&self) -> String {
        self.consumer.name()
    }

    /// As [`Consumer::work`]; `missed` is called whenever the consumer is found missing.
    ///
    /// # Errors
    /// [`ConsumerError`] if its stream is gone, or the server does not understand the request.
    pub async fn work<W>(
        &self,
        at_once: usize,
        stop: CancellationToken,
        work: impl Fn(Delivery) -> W,
        missed: impl Fn(),
    ) -> Result<(), ConsumerError>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        loop {
            let worked = self.consumer.work(at_once, stop.clone(), &work).await;
            if self.is_over(worked, &stop, &missed).await? {
                return Ok(());
            }
        }
    }

    /// As [`Consumer::run`]; `missed` is called whenever the consumer is found missing.
    ///
    /// # Errors
    /// [`ConsumerError`] if its stream is gone, or the server does not understand the request.
    pub async fn run(
        &self,
        slots: Arc<Semaphore>,
        stop: CancellationToken,
        on_delivery: impl Fn(Delivery, OwnedSemaphorePermit),
        missed: impl Fn(),
    ) -> Result<(), ConsumerError> {
        loop {
            let ran = self.consumer.run(Arc::clone(&slots), stop.clone(), &on_delivery).await;
            if self.is_over(ran, &stop, &missed).await? {
                return Ok(());
            }
        }
    }

    /// Whether the pulling is over for good. Where only the consumer is gone, that is after it is back.
    async fn is_over(
        &self,
        ended: Result<(), ConsumerError>,
        stop: &CancellationToken,
        missed: &impl Fn(),
    ) -> Result<bool, ConsumerError> {
        match ended {
            Ok(()) => Ok(true),
            Err(gone @ ConsumerError::Gone { .. }) => {
                let back = stop.run_until_cancelled(Box::pin(self.come_back(gone, missed))).await;
                back.transpose().map(|back| back.is_none())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the consumer, and defines it where that is this program's to do. Without its stream nothing can come back.
    async fn come_back(&self, gone: ConsumerError, missed: &impl Fn()) -> Result<(), ConsumerError> {
        let consumer = self.name();
        error!(consumer, "the consumer was deleted; what it delivered has to wait until it is there again");
        let (mut pause, mut known) = (Pause::up_to(LONGEST_PAUSE), None);
        loop {
            missed();
            match self.definition.restore().await {
                Ok(()) => break,
                Err(error) if error.is_without_stream() => return Err(gone),
                Err(error) => self.note(&error, &mut known),
            }
            tokio::time::sleep(pause.next()).await;
        }
        info!(consumer, "the consumer is there again");
        Ok(())
    }

    /// The same obstacle is said once.
    fn note(&self, error: &TopologyError, known: &mut Option<String>) {
        let (consumer, obstacle) = (self.name(), chain(error));
        if known.as_ref() == Some(&obstacle) {
            debug!(consumer, error = obstacle, "the consumer is still not there");
        } else {
            error!(consumer, error = obstacle, "the consumer is not there yet; it is looked for again");
            *known = Some(obstacle);
        }
    }
}
