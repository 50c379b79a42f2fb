//! Conversations that are too large for one value of the bucket: kept as objects, named by what they hold.

use super::RunState;
use crate::events::RunKey;
use crate::execution::failure::Unavailable;
use crate::execution::types::Conversation;
use crate::queue::objects::{Objects, digest};
use crate::queue::{Connection, Topology};

/// Room in a message for its headers and for the fields of a run state beside the conversation, in bytes.
const ROOM: usize = 4_096;

/// The conversation that an earlier execution left.
#[derive(Debug)]
pub(super) enum Left {
    /// It, or none if no execution got so far.
    Readable(Option<Box<Conversation>>),
    /// There is one, and it cannot be had, for this reason.
    Unreadable(String),
}

/// The object store of large conversations.
#[derive(Debug, Clone)]
pub(super) struct Transcripts {
    connection: Connection,
    objects: Objects,
}

impl Transcripts {
    pub(super) fn new(connection: &Connection, topology: &Topology) -> Self {
        Self { connection: connection.clone(), objects: Objects::new(connection, &topology.transcripts) }
    }

    /// `state` as it fits into a value: a large conversation is stored as an object and replaced by its name.
    pub(super) async fn pack(&self, key: &RunKey, state: &RunState) -> Result<RunState, Unavailable> {
        let Some(conversation) = &state.conversation else { return Ok(state.clone()) };
        let bytes = serde_json::to_vec(conversation)
            .map_err(|error| Unavailable::new(format!("writing the conversation of the run {key}"), error))?;
        if bytes.len() + ROOM <= self.connection.max_payload() {
            return Ok(RunState { transcript: None, ..state.clone() });
        }
        let name = format!("{}.{}.{}", key.project, key.run, digest(&bytes));
        self.objects.put(&name, &bytes).await?;
        Ok(RunState { conversation: None, transcript: Some(name), ..state.clone() })
    }

    /// The conversation of a stored state. One that should be there and is not is no reason to start over: calls that
    /// are finished would be made again.
    pub(super) async fn unpack(&self, state: &RunState) -> Result<Left, Unavailable> {
        let Some(name) = &state.transcript else {
            return Ok(Left::Readable(state.conversation.clone().map(Box::new)));
        };
        let Some(bytes) = self.objects.get(name).await? else {
            return Ok(Left::Unreadable(format!("the object {name} with its conversation is gone")));
        };
        Ok(match serde_json::from_slice(&bytes) {
            Ok(conversation) => Left::Readable(Some(conversation)),
            Err(error) => Left::Unreadable(format!("the object {name} with its conversation: {error}")),
        })
    }

    /// Deletes an object that no state names any more. What stays behind expires.
    pub(super) async fn discard(&self, name: &str) {
        self.objects.discard(name).await;
    }
}
