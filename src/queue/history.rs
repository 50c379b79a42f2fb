//! Outcomes for the history: each is delivered until the store has it.

use std::fmt;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};

use super::retry::{self, WRITE_PATIENCE};
use super::topology::ConsumerDefinition;
use super::{Connection, LastingConsumer, Topology};
use crate::events::subjects::{self, EventKind};
use crate::events::{RunKey, RunMessage, TranscriptMessage};
use crate::execution::failure::Unavailable;
use crate::settings::Settings;

/// The outcomes that are to be written down.
#[derive(Clone)]
pub struct Outcomes {
    events: Stream,
    consumer: LastingConsumer,
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}

impl Outcomes {
    /// In the streams of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &Settings) -> Self {
        let definition = ConsumerDefinition::history(connection, settings);
        let pull_expires = settings.consumer.pull_expires();
        let consumer = LastingConsumer::new(connection, &topology.recorded, definition, pull_expires);
        Self { events: topology.events.clone(), consumer }
    }

    /// Where they come from.
    #[must_use]
    pub fn consumer(&self) -> &LastingConsumer {
        &self.consumer
    }

    /// What was said in a run whose outcome left it out for its size; `None` if not all of it is kept.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn transcript(&self, run: &RunKey) -> Result<Option<Vec<TranscriptMessage>>, Unavailable> {
        let (subject, mut sequence) = (subjects::event(run, EventKind::Message), 1);
        let mut messages = Vec::new();
        while let Some(stored) = self.next(&subject, sequence).await? {
            sequence = stored.sequence + 1;
            let Ok(message) = serde_json::from_slice::<RunMessage>(&stored.payload) else { return Ok(None) };
            messages.push(TranscriptMessage::from(message));
        }
        let is_whole = (0..).zip(&messages).all(|(index, message): (u32, _)| message.index == index);
        Ok((is_whole && !messages.is_empty()).then_some(messages))
    }

    async fn next(&self, subject: &str, sequence: u64) -> Result<Option<StreamMessage>, Unavailable> {
        let read = retry::retry(
            WRITE_PATIENCE,
            |_| retry::Next::Again,
            async || match self.events.get_first_raw_message_by_subject(subject, sequence).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error),
            },
        );
        read.await.map_err(|error| Unavailable::new(format!("reading the events {subject}"), error))
    }
}
