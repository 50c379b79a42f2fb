//! Conversations that are too large for one value of the bucket: kept as objects, named by what they hold.

use std::fmt;

use async_nats::jetstream::object_store::{GetErrorKind, ObjectMetadata, ObjectStore};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tracing::{debug, error};

use super::RunState;
use crate::events::RunKey;
use crate::execution::failure::Unavailable;
use crate::execution::types::Conversation;
use crate::queue::retry::{Next, WRITE_PATIENCE, retry};
use crate::queue::{Connection, Topology};

/// Room in a message for its headers and for the fields of a run state beside the conversation, in bytes.
const ROOM: usize = 4_096;
/// The largest piece of an object, in bytes; the server may take less.
const CHUNK: usize = 128 * 1_024;

/// The object store of large conversations.
#[derive(Clone)]
pub(super) struct Transcripts {
    connection: Connection,
    objects: ObjectStore,
}

impl fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcripts").finish_non_exhaustive()
    }
}

impl Transcripts {
    pub(super) fn new(connection: &Connection, topology: &Topology) -> Self {
        Self { connection: connection.clone(), objects: topology.transcripts.clone() }
    }

    /// `state` as it fits into a value: a large conversation is stored as an object and replaced by its name.
    pub(super) async fn pack(&self, key: &RunKey, state: &RunState) -> Result<RunState, Unavailable> {
        let Some(conversation) = &state.conversation else { return Ok(state.clone()) };
        let bytes = serde_json::to_vec(conversation)
            .map_err(|error| Unavailable::new(format!("writing the conversation of the run {key}"), error))?;
        if bytes.len() + ROOM <= self.connection.max_payload() {
            return Ok(RunState { transcript: None, ..state.clone() });
        }
        let name = format!("{}.{}.{}", key.project, key.run, hex::encode(Sha256::digest(&bytes)));
        self.put(&name, &bytes).await?;
        Ok(RunState { conversation: None, transcript: Some(name), ..state.clone() })
    }

    /// The conversation of a stored state. One that should be there and is not means starting over: the run would
    /// never end otherwise.
    pub(super) async fn unpack(&self, state: &RunState) -> Result<Option<Conversation>, Unavailable> {
        let Some(name) = &state.transcript else { return Ok(state.conversation.clone()) };
        let Some(bytes) = self.get(name).await? else {
            error!(transcript = name, "the stored conversation of a run is gone; the run starts over");
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Unavailable::new(format!("reading the conversation {name}"), error))
    }

    /// Deletes an object that no state names any more. What stays behind expires.
    pub(super) async fn discard(&self, name: &str) {
        if let Err(error) = self.objects.delete(name).await {
            debug!(transcript = name, %error, "a conversation that is not needed any more stays until it expires");
        }
    }

    async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Unavailable> {
        let chunk = CHUNK.min(self.connection.max_payload().saturating_sub(ROOM)).max(1);
        let put = retry(
            WRITE_PATIENCE,
            |_| Next::Again,
            || async {
                let name = name.to_owned();
                let meta = ObjectMetadata { name, chunk_size: Some(chunk), ..ObjectMetadata::default() };
                self.objects.put(meta, &mut &*bytes).await
            },
        );
        put.await
            .map(drop)
            .map_err(|error| Unavailable::new(format!("storing the conversation {name}"), error))
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let get = retry(
            WRITE_PATIENCE,
            |_| Next::Again,
            || async {
                let mut object = match self.objects.get(name).await {
                    Ok(object) => object,
                    Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(async_nats::Error::from(error)),
                };
                let mut bytes = Vec::new();
                object.read_to_end(&mut bytes).await?;
                Ok(Some(bytes))
            },
        );
        get.await.map_err(|error| Unavailable::new(format!("reading the conversation {name}"), error))
    }
}
