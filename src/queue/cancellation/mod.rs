//! Cancelling: durable requests become marks in the bucket, marks reach the runs.
//!
//! A request is kept by a stream until a worker has turned it into a mark; the mark is kept for a day. Every worker
//! watches the marks, and reads them when a run starts and again and again while it runs, so that no lost push and no
//! moment of reconnecting can swallow a cancel.

mod ask;
mod commands;
mod registry;
mod watch;

use async_nats::HeaderMap;
use async_nats::jetstream::kv;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::bucket::Bucket;
use super::consumer::{Consumer, ConsumerError};
use super::publish::publish;
use super::{Connection, DeadLetters, Topology};
use crate::events::{BatchRunId, CancelRequest, RunKey, subjects};
use crate::execution::failure::Unavailable;
use crate::settings::ConsumerSettings;
pub use ask::{Asked, ask_to_cancel};
pub use registry::CancelHandle;
use registry::Registry;

/// Cancel marks, made and watched.
#[derive(Debug, Clone)]
pub struct Cancellations {
    commands: Consumer,
    dead_letters: DeadLetters,
    bucket: Bucket,
    store: kv::Store,
    registry: Registry,
}

impl Cancellations {
    /// Over the streams and the bucket of `topology`. Nothing happens before [`Cancellations::run`].
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &ConsumerSettings) -> Self {
        Self {
            commands: Consumer::new(connection, &topology.commands, settings.pull_expires()),
            dead_letters: DeadLetters::new(connection),
            bucket: Bucket::new(connection, topology),
            store: topology.runs.clone(),
            registry: Registry::default(),
        }
    }

    /// Turns requests into marks and marks into cancelled tokens until `stop` fires.
    ///
    /// # Errors
    /// [`ConsumerError`] if the consumer of the requests is gone.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        // The watch never ends by itself; it must not outlive the taking of requests, however that ends.
        tokio::select! {
            taken = self.take_commands(stop) => taken,
            never = self.watch() => match never {},
        }
    }

    /// A token that fires if the run or its batch is cancelled, before or after this call.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn token(&self, key: &RunKey, batch: &BatchRunId) -> Result<CancelHandle, Unavailable> {
        let keys = [subjects::cancel_key(key), subjects::cancel_batch_key(&key.project, batch)];
        // Registered first: a mark that is made between the two steps is seen by the watch.
        let handle = self.registry.register(keys.clone());
        for name in &keys {
            if self.bucket.read(name).await?.value.is_some() {
                self.registry.fire(name);
            }
        }
        Ok(handle)
    }
}

/// Asks for a run or a batch to be cancelled, and returns when the stream has the request.
///
/// # Errors
/// [`Unavailable`] if the stream does not have it after all retries.
pub async fn request_cancel(connection: &Connection, request: &CancelRequest) -> Result<(), Unavailable> {
    let attempted = || format!("publishing a cancel request of the project {}", request.project_id);
    let payload: Bytes =
        serde_json::to_vec(request).map_err(|error| Unavailable::new(attempted(), error))?.into();
    let subject = subjects::cancel_requested(&request.project_id);
    let mut headers = HeaderMap::new();
    headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
    // A second copy makes the same mark once more.
    publish(&connection.jetstream, &subject, &headers, &payload)
        .await
        .map(drop)
        .map_err(|error| Unavailable::new(attempted(), error))
}
