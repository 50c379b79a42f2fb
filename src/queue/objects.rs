//! Bytes that are too large for a message, kept as objects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::object_store::{
    DeleteErrorKind, GetErrorKind, Object, ObjectMetadata, ObjectStore,
};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::Connection;
use super::retry::{Next, WRITE_PATIENCE, retry};
use crate::execution::failure::Unavailable;

/// Room in a message for its headers, in bytes.
const ROOM: usize = 4_096;
/// The largest piece of an object, in bytes; the server may take less.
const CHUNK: usize = 128 * 1_024;
/// Objects that are written at one time. What renews leases and settles messages waits behind them, on the one
/// connection and at the server.
const WRITES_AT_ONCE: usize = 4;
/// How long the next piece of an object may take. The pieces of one that is replaced between look-up and reading never
/// come, and nobody says so.
const PIECE_PATIENCE: Duration = Duration::from_secs(3);

/// An object store.
#[derive(Clone)]
pub(super) struct Objects {
    connection: Connection,
    store: ObjectStore,
    writes: Arc<Semaphore>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    pub(super) fn new(connection: &Connection, store: &ObjectStore) -> Self {
        let writes = Arc::new(Semaphore::new(WRITES_AT_ONCE));
        Self { connection: connection.clone(), store: store.clone(), writes }
    }

    /// Writes an object. Outages are waited out for a bounded time.
    pub(super) async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Unavailable> {
        let chunk = CHUNK.min(self.connection.max_payload().saturating_sub(ROOM)).max(1);
        // The semaphore is never closed; without a permit there is only no bound.
        let _turn = self.writes.acquire().await.ok();
        let put = retry(
            WRITE_PATIENCE,
            |_| Next::Again,
            || async {
                let name = name.to_owned();
                let meta = ObjectMetadata { name, chunk_size: Some(chunk), ..ObjectMetadata::default() };
                self.store.put(meta, &mut &*bytes).await
            },
        );
        put.await.map(drop).map_err(|error| Unavailable::new(format!("storing the object {name}"), error))
    }

    /// The bytes of an object, `None` if there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let get = retry(
            WRITE_PATIENCE,
            |_| Next::Again,
            || async {
                let mut object = match self.store.get(name).await {
                    Ok(object) => object,
                    Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(async_nats::Error::from(error)),
                };
                read(&mut object).await.map(Some)
            },
        );
        get.await.map_err(|error| Unavailable::new(format!("reading the object {name}"), error))
    }

    /// Deletes an object. What stays behind expires.
    pub(super) async fn discard(&self, name: &str) {
        if let Err(error) = self.delete(name).await {
            debug!(object = name, %error, "an object that is not needed any more stays until it expires");
        }
    }

    /// Deletes an object, which may be gone already.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Unavailable> {
        match self.store.delete(name).await {
            Err(error) if error.kind() != DeleteErrorKind::NotFound => {
                Err(Unavailable::new(format!("deleting the object {name}"), error))
            }
            _ => Ok(()),
        }
    }
}

async fn read(object: &mut Object) -> Result<Vec<u8>, async_nats::Error> {
    let mut bytes = Vec::new();
    while timeout(PIECE_PATIENCE, object.read_buf(&mut bytes)).await?? > 0 {}
    Ok(bytes)
}

/// Names bytes by what they are.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
