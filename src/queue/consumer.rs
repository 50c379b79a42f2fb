//! The pull loop: a free slot first, then a message for it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, PullConsumer};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, warn};

use super::poison::{Poison, Reach};
use super::pull::{CLOSE_PATIENCE, Heard, OpenError, Pull};
use super::retry::Pause;
use super::{Connection, Delivery, spans};
use crate::execution::failure::Unavailable;

/// How often the server may say in a row that the consumer does not exist before that is believed. In between are
/// growing pauses, so a consumer that is being created anew is found again.
const MOST_MISSES: u32 = 6;
/// Time for handing back the messages that arrived while the loop was stopped.
const HAND_BACK_PATIENCE: Duration = Duration::from_secs(5);
/// How long [`Consumer::run`] goes on at most after its stop fired.
pub const LONGEST_CLOSE: Duration = CLOSE_PATIENCE.saturating_add(HAND_BACK_PATIENCE);

/// Why the loop ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The consumer or its stream does not exist any more.
    #[error(
        "consumer {consumer} of stream {stream} does not exist any more; start the worker again to create it"
    )]
    Gone {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    },
    /// The client library does not run any more.
    #[error("the connection to the broker has ended for good; start the worker again")]
    Closed,
    /// The server refuses the request itself.
    #[error("the server refuses to deliver messages of consumer {consumer}: {reason}")]
    Rejected {
        /// The consumer.
        consumer: String,
        /// What the server says.
        reason: String,
    },
}

/// Takes messages of one durable consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    connection: Connection,
    durable: PullConsumer,
    pull_expires: Duration,
    poison: Arc<Poison>,
}

/// What the server says of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Messages that were delivered and are not settled.
    pub ack_pending: u64,
    /// Those of them that were delivered before.
    pub redelivered: u64,
    /// Pulls that wait for messages.
    pub waiting_pulls: u64,
}

impl From<consumer::Info> for Backlog {
    fn from(info: consumer::Info) -> Self {
        Self {
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            waiting_pulls: info.num_waiting as u64,
        }
    }
}

/// How one pull ended.
enum End {
    Done,
    Stopped,
    /// What the server sent may not have arrived.
    CutShort(&'static str),
    Closed,
    Trouble(String),
    Invalid(String),
}

impl Consumer {
    /// Takes messages of `consumer`, each pull open for at most `pull_expires`.
    #[must_use]
    pub fn new(connection: &Connection, consumer: &PullConsumer, pull_expires: Duration) -> Self {
        let poison = Arc::new(Poison::new(connection, consumer));
        Self { connection: connection.clone(), durable: consumer.clone(), pull_expires, poison }
    }

    /// Works on messages until `stop` fires, `at_once` of them at one time, and returns when the last is done with. The
    /// worker's traces have a span of the work on each, see [`Delivery::processing`].
    ///
    /// # Errors
    /// As [`Consumer::run`].
    pub async fn work<W>(
        &self,
        at_once: usize,
        stop: CancellationToken,
        work: impl Fn(Delivery) -> W,
    ) -> Result<(), ConsumerError>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (slots, tasks) = (Arc::new(Semaphore::new(at_once)), TaskTracker::new());
        let group = self.name();
        let take = |mut delivery: Delivery, slot| {
            let span = spans::process(&mut delivery, &group);
            let work = work(delivery);
            let worked = async move {
                work.await;
                drop(slot);
            };
            tasks.spawn(worked.instrument(span));
        };
        let taken = self.run(slots, stop, take).await;
        tasks.close();
        tasks.wait().await;
        taken
    }

    /// Delivers messages until `stop` fires, never more than there are permits in `slots`: a permit is taken before
    /// its message is asked for and handed over with it. A broker that is away is waited for.
    ///
    /// # Errors
    /// [`ConsumerError`] if the consumer is gone or the server does not understand the request.
    pub async fn run(
        &self,
        slots: Arc<Semaphore>,
        stop: CancellationToken,
        on_delivery: impl Fn(Delivery, OwnedSemaphorePermit),
    ) -> Result<(), ConsumerError> {
        let mut trouble = Trouble::default();
        // What stopped the process before this one may be waiting for its next victim.
        stop.run_until_cancelled(Box::pin(self.poison.clear(Reach::Delivered))).await;
        while let Some(permits) = self.ready(&slots, &stop).await {
            match self.pull(permits, &stop, &on_delivery).await {
                End::Done => self.recovered(&mut trouble),
                End::Stopped => break,
                End::Invalid(reason) => {
                    return Err(ConsumerError::Rejected { consumer: self.name(), reason });
                }
                End::Closed => return Err(ConsumerError::Closed),
                End::CutShort(reason) => {
                    stop.run_until_cancelled(Box::pin(self.clear_poison())).await;
                    self.recover(&mut trouble, reason, &stop).await?;
                }
                End::Trouble(reason) => self.recover(&mut trouble, &reason, &stop).await?,
            }
        }
        Ok(())
    }

    /// Waits for the broker and for a free slot, then takes every free slot. `None` when asked to stop.
    async fn ready(&self, slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        let ready = async {
            // Requests of a lost connection would all be sent at once when it is back.
            self.connection.made().await;
            let mut permits = Arc::clone(slots).acquire_owned().await.ok()?;
            let more = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
            if let Ok(more) = Arc::clone(slots).try_acquire_many_owned(more) {
                permits.merge(more);
            }
            Some(permits)
        };
        stop.run_until_cancelled(ready).await.flatten()
    }

    async fn pull(
        &self,
        mut permits: OwnedSemaphorePermit,
        stop: &CancellationToken,
        on_delivery: &impl Fn(Delivery, OwnedSemaphorePermit),
    ) -> End {
        let (client, credits) = (&self.connection.client, permits.num_permits());
        let times_made = self.connection.times_made();
        let mut pull = match Pull::open(client, &self.durable, credits, self.pull_expires).await {
            Ok(pull) => pull,
            Err(OpenError::Subscribe(_)) => return End::Closed,
            Err(error) => return End::Trouble(error.to_string()),
        };
        let end = self.take_while_connected(times_made, &mut pull, &mut permits, stop, on_delivery).await;
        match end {
            End::Done | End::Invalid(_) | End::Closed => {}
            End::Stopped => self.hand_back(self.close(pull).await).await,
            End::Trouble(_) | End::CutShort(_) => {
                for message in self.close(pull).await {
                    self.deliver(message, &mut permits, on_delivery);
                }
            }
        }
        end
    }

    async fn take_while_connected(
        &self,
        times_made: u64,
        pull: &mut Pull,
        permits: &mut OwnedSemaphorePermit,
        stop: &CancellationToken,
        on_delivery: &impl Fn(Delivery, OwnedSemaphorePermit),
    ) -> End {
        tokio::select! {
            // First, so that what has arrived is delivered.
            biased;
            end = self.take(pull, permits, stop, on_delivery) => end,
            () = self.connection.lost_since(times_made) => End::CutShort("the connection was lost"),
        }
    }

    /// What was on its way; nothing is where the connection is lost.
    async fn close(&self, pull: Pull) -> Vec<async_nats::Message> {
        if self.connection.is_connected() { pull.close().await } else { Vec::new() }
    }

    /// Delivers what an open pull brings until it is over.
    async fn take(
        &self,
        pull: &mut Pull,
        permits: &mut OwnedSemaphorePermit,
        stop: &CancellationToken,
        on_delivery: &impl Fn(Delivery, OwnedSemaphorePermit),
    ) -> End {
        while permits.num_permits() > 0 {
            match stop.run_until_cancelled(pull.next()).await {
                None => return End::Stopped,
                Some(Heard::Message(message)) => self.deliver(message, permits, on_delivery),
                Some(Heard::Heartbeat) => {}
                Some(Heard::Ended) => return End::Done,
                Some(Heard::Refused(status)) => return End::Trouble(status),
                Some(Heard::Invalid(status)) => return End::Invalid(status),
                Some(Heard::Silence) => return End::CutShort("the server has fallen silent"),
                Some(Heard::Closed) => return End::Closed,
            }
        }
        End::Done
    }

    fn deliver(
        &self,
        message: async_nats::Message,
        permits: &mut OwnedSemaphorePermit,
        on_delivery: &impl Fn(Delivery, OwnedSemaphorePermit),
    ) {
        match (self.delivery(message), permits.split(1)) {
            (Some(delivery), Some(permit)) => on_delivery(delivery, permit),
            (Some(delivery), None) => drop(delivery),
            (None, _) => warn!("the server delivered a message without a readable reply subject"),
        }
    }

    fn delivery(&self, message: async_nats::Message) -> Option<Delivery> {
        let ack_wait = self.durable.cached_info().config.ack_wait;
        Delivery::new(message, &self.connection, ack_wait)
    }

    /// Another worker can have these at once.
    async fn hand_back(&self, messages: Vec<async_nats::Message>) {
        let deliveries: Vec<Delivery> =
            messages.into_iter().filter_map(|message| self.delivery(message)).collect();
        let count = deliveries.len();
        let naks = futures::future::join_all(deliveries.into_iter().map(|delivery| delivery.nak(None)));
        let Ok(results) = tokio::time::timeout(HAND_BACK_PATIENCE, naks).await else {
            warn!(count, "the broker did not confirm in time that messages are handed back");
            return;
        };
        for error in results.into_iter().filter_map(Result::err) {
            warn!(%error, "a message that arrived while stopping could not be handed back");
        }
        debug!(count, "handed back what arrived while stopping");
    }

    async fn clear_poison(&self) {
        self.connection.made().await;
        self.poison.clear(Reach::Ahead).await;
    }

    /// After a pull that went wrong: is the consumer still there? Then a pause, and on. Whoever is told to stop does not
    /// wait for an answer.
    async fn recover(
        &self,
        trouble: &mut Trouble,
        reason: &str,
        stop: &CancellationToken,
    ) -> Result<(), ConsumerError> {
        if std::mem::replace(&mut trouble.is_known, true) {
            debug!(consumer = self.name(), reason, "a pull was cut short again");
        } else {
            info!(consumer = self.name(), reason, "a pull was cut short; pulling again until one is not");
        }
        let is_missing = stop.run_until_cancelled(self.is_missing()).await.unwrap_or(false);
        trouble.misses = if is_missing { trouble.misses + 1 } else { 0 };
        if trouble.misses >= MOST_MISSES {
            let stream = self.durable.cached_info().stream_name.clone();
            return Err(ConsumerError::Gone { stream, consumer: self.name() });
        }
        stop.run_until_cancelled(tokio::time::sleep(trouble.pause.next())).await;
        Ok(())
    }

    fn recovered(&self, trouble: &mut Trouble) {
        if std::mem::take(trouble).is_known {
            info!(consumer = self.name(), "pulls are not cut short any more");
        }
    }

    /// Asks the server about the consumer: a sign that JetStream is there for it, with its leader, and what waits.
    ///
    /// # Errors
    /// [`Unavailable`] if the server does not answer, or knows no such consumer.
    pub async fn check(&self) -> Result<Backlog, Unavailable> {
        let info = self.durable.get_info().await;
        info.map(Backlog::from)
            .map_err(|error| Unavailable::new(format!("asking about consumer {}", self.name()), error))
    }

    /// Whether the server says that there is no such consumer. No answer says nothing.
    async fn is_missing(&self) -> bool {
        match self.durable.get_info().await {
            Ok(_) => false,
            Err(error) => {
                matches!(
                    error.kind(),
                    ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound
                )
            }
        }
    }

    /// What the server calls it: the group of workers that share it.
    #[must_use]
    pub fn name(&self) -> String {
        self.durable.cached_info().name.clone()
    }
}

/// Pulls that went wrong in a row.
#[derive(Debug, Default)]
struct Trouble {
    pause: Pause,
    misses: u32,
    /// The log has it.
    is_known: bool,
}
