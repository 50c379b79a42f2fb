//! Spans of targets between workers: whoever receives them asks, on the subject of their trace, who plays the run.
//!
//! A worker subscribes to the subject of every trace that it plays, and to no other, so that the server itself says when
//! nobody plays a run. Plain NATS is enough: whoever sends spans is told what became of them, and may send again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Message, Subject};
use async_trait::async_trait;
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::Connection;
use crate::events::subjects;
use crate::execution::failure::Unavailable;
use crate::telemetry::ingress::{Bundle, Elsewhere, Hub, Reception, Refusal, TraceChange, TraceKey};

/// Time for another worker to say what became of spans.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Bytes of the server's largest message that are left for headers and subject.
const MARGIN_BYTES: usize = 1024;
/// Offers of other workers that are taken at one time.
const MOST_OFFERS: usize = 32;

/// The other workers of the broker.
#[derive(Debug, Clone)]
pub struct Neighbours(Connection);

impl Neighbours {
    /// Asks over `connection`.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// `None` if nobody plays the run.
    async fn ask(&self, part: &Bundle) -> Result<Option<Reception>, Unavailable> {
        let (body, limit) = (part.encode(), self.limit());
        if body.len() > limit {
            return Ok(Some(Reception::refusal(Refusal::TooLarge, part.spans())));
        }
        let asking = self.0.client.request(subject(part.trace), body.into());
        let answer = match tokio::time::timeout(ANSWER_TIME, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if is_nobody(&error) => return Ok(None),
            Ok(Err(error)) => return Err(Unavailable::new(ASKING, error)),
            Err(late) => return Err(Unavailable::new(ASKING, late)),
        };
        let said = serde_json::from_slice::<Option<Reception>>(&answer.payload);
        let said = said.map_err(|error| Unavailable::new(ASKING, error))?;
        Ok(said.map(|said| said.of(part.spans())))
    }

    fn limit(&self) -> usize {
        self.0.max_payload().saturating_sub(MARGIN_BYTES)
    }
}

const ASKING: &str = "asking other workers whose spans these are";

fn is_nobody(error: &RequestError) -> bool {
    error.kind() == RequestErrorKind::NoResponders
}

fn subject(trace: TraceKey) -> Subject {
    subjects::received(&hex::encode(trace)).into()
}

#[async_trait]
impl Elsewhere for Neighbours {
    async fn offer(&self, bundle: &Bundle) -> Result<Option<Reception>, Unavailable> {
        let mut said: Option<Reception> = None;
        for part in bundle.clone().parts(self.limit()) {
            let spans = part.spans();
            said = match (said, self.ask(&part).await?) {
                (None, None) => None,
                // A run that ends in the middle of it takes no more.
                (Some(said), None) => Some(said.plus(Reception::refusal(Refusal::UnknownTrace, spans))),
                (said, Some(more)) => Some(said.unwrap_or_default().plus(more)),
            };
        }
        Ok(said)
    }
}

/// Hears other workers for the runs of this one.
#[derive(Debug)]
pub struct Listener {
    connection: Connection,
    hub: Hub,
    room: Arc<Semaphore>,
    listening: HashMap<TraceKey, AbortHandle>,
}

impl Listener {
    /// Hears them over `connection` for the runs of `hub`.
    #[must_use]
    pub fn new(connection: &Connection, hub: Hub) -> Self {
        let room = Arc::new(Semaphore::new(MOST_OFFERS));
        Self { connection: connection.clone(), hub, room, listening: HashMap::new() }
    }

    /// Subscribes as runs begin and end, until this is dropped.
    pub async fn run(mut self) {
        let mut changes = self.hub.watch();
        while let Some(change) = changes.recv().await {
            match change {
                TraceChange::Begun(trace) => self.listen(trace),
                TraceChange::Over(trace) => {
                    if let Some(listening) = self.listening.remove(&trace) {
                        listening.abort();
                    }
                }
            }
        }
    }

    fn listen(&mut self, trace: TraceKey) {
        let (connection, hub, room) = (self.connection.clone(), self.hub.clone(), Arc::clone(&self.room));
        let ear = Ear { connection, hub, room, trace };
        self.listening.insert(trace, tokio::spawn(ear.listen()).abort_handle());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listening.values().for_each(AbortHandle::abort);
    }
}

/// Listens for one trace.
struct Ear {
    connection: Connection,
    hub: Hub,
    room: Arc<Semaphore>,
    trace: TraceKey,
}

impl Ear {
    /// Ends when it is aborted, which ends the subscription, too.
    async fn listen(self) {
        let mut offers = match self.connection.client.subscribe(subject(self.trace)).await {
            Ok(offers) => offers,
            Err(error) => {
                tracing::warn!(%error, "other workers cannot hand over spans of a run's target: there is no subscription");
                return;
            }
        };
        while let Some(offer) = offers.next().await {
            // The room is never closed.
            let Ok(_place) = self.room.acquire().await else { return };
            self.take(offer).await;
        }
    }

    async fn take(&self, offer: Message) {
        let Some(reply) = offer.reply else { return };
        let said = match Bundle::decode(self.trace, &offer.payload) {
            Ok(bundle) => self.hub.offer(&Arc::new(bundle)).await,
            Err(error) => {
                tracing::warn!(%error, "another worker handed over what are no spans");
                None
            }
        };
        // A reception has nothing that JSON does not have.
        let Ok(body) = serde_json::to_vec(&said) else { return };
        if let Err(error) = self.connection.client.publish(reply, body.into()).await {
            tracing::warn!(%error, "another worker is not told what became of spans");
        }
    }
}
