//! What the platform of a project is told of its runs: the events of a run in their order, how far the telling is, and who
//! does it at the moment.

mod lock;

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use bytes::Bytes;
use tracing::warn;

use super::bucket::{Bucket, Stored, WriteError};
use super::delivery::stored_as;
use super::retry::{self, WRITE_PATIENCE};
use super::topology::ConsumerDefinition;
use super::{Connection, DeadLetters, LastingConsumer, Original, Topology};
use crate::events::subjects::{self, EventKind};
use crate::events::{DeadLetterCode, RunKey};
use crate::execution::failure::Unavailable;
use crate::settings::Settings;
use crate::telemetry::sink::{Entry, Progress, Story};
pub use lock::SinkLock;

/// What was told of runs, in the broker.
#[derive(Clone)]
pub struct SinkLog {
    events: Stream,
    bucket: Bucket,
    notices: LastingConsumer,
    dead_letters: DeadLetters,
    lock_ttl: Duration,
    ttl: Duration,
}

/// How far the telling is, and the revision that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    revision: u64,
    /// How far the telling is.
    pub progress: Progress,
}

/// Why the telling cannot go on here.
#[derive(Debug, thiserror::Error)]
pub enum SinkLogError {
    /// Somebody else tells by now.
    #[error("another worker tells of the run by now")]
    Overtaken,
    /// The broker does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl fmt::Debug for SinkLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkLog").finish_non_exhaustive()
    }
}

impl SinkLog {
    /// In the streams of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &Settings) -> Self {
        let definition = ConsumerDefinition::sink(connection, settings);
        let pull_expires = settings.consumer.pull_expires();
        Self {
            events: topology.events.clone(),
            bucket: Bucket::new(connection, topology),
            notices: LastingConsumer::new(connection, &topology.told, definition, pull_expires),
            dead_letters: DeadLetters::new(connection),
            lock_ttl: settings.telemetry.sink.hold(),
            ttl: settings.events.longest_retention(),
        }
    }

    /// Where it comes from that there are events.
    #[must_use]
    pub fn notices(&self) -> &LastingConsumer {
        &self.notices
    }

    /// How far the telling of a run is.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or what it has cannot be read.
    pub async fn bookmark(&self, run: &RunKey) -> Result<Bookmark, Unavailable> {
        let key = subjects::sink_key(run);
        let Stored { revision, value } = self.bucket.read(&key).await?;
        let Some(value) = value else { return Ok(Bookmark { revision, progress: Progress::default() }) };
        let progress = serde_json::from_slice(&value)
            .map_err(|error| Unavailable::new(format!("reading the key {key}"), error))?;
        Ok(Bookmark { revision, progress })
    }

    /// Moves the bookmark on.
    ///
    /// # Errors
    /// [`SinkLogError`] if somebody else moved it, or the broker does not answer for long.
    pub async fn mark(
        &self,
        run: &RunKey,
        from: Bookmark,
        progress: Progress,
    ) -> Result<Bookmark, SinkLogError> {
        let key = subjects::sink_key(run);
        let value = serde_json::to_vec(&progress)
            .map_err(|error| Unavailable::new(format!("writing the key {key}"), error))?;
        match self.bucket.write(&key, value.into(), Some(from.revision), Some(self.ttl)).await {
            Ok(revision) => Ok(Bookmark { revision, progress }),
            // It may have been this write, whose answer was lost.
            Err(WriteError::WrongRevision) => {
                let found = self.bookmark(run).await?;
                if found.progress == progress { Ok(found) } else { Err(SinkLogError::Overtaken) }
            }
            Err(WriteError::Unavailable(error)) => Err(error.into()),
            Err(error @ WriteError::TooLarge(_)) => {
                Err(Unavailable::new(format!("writing the key {key}"), error).into())
            }
        }
    }

    /// Reads the events of a run that `story` does not have yet.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn read_on(&self, run: &RunKey, story: &mut Story) -> Result<(), Unavailable> {
        let (filter, mut sequence) = (subjects::events_of(run), story.through() + 1);
        while let Some(message) = self.next(&filter, sequence).await? {
            sequence = message.sequence + 1;
            let Some(kind) = EventKind::from_subject(&message.subject) else { continue };
            let entry = Entry { sequence: message.sequence, stored_at: message.time };
            if let Err(error) = story.read(kind, &message.payload, entry) {
                story.pass_over(entry);
                warn!(
                    nats.stream_sequence = message.sequence, %error,
                    "an event cannot be read, so the platform is not told of it"
                );
            }
        }
        Ok(())
    }

    /// From the leader: who was told that there is an event has to find it.
    async fn next(
        &self,
        filter: &str,
        sequence: u64,
    ) -> Result<Option<async_nats::jetstream::message::StreamMessage>, Unavailable> {
        let read = retry::retry(
            WRITE_PATIENCE,
            |_| retry::Next::Again,
            async || match self.events.get_first_raw_message_by_subject(filter, sequence).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error),
            },
        );
        read.await.map_err(|error| Unavailable::new(format!("reading the events {filter}"), error))
    }

    /// Keeps an event that the platform did not take as a dead letter. It stays where it is.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn bury(
        &self,
        sequence: u64,
        code: DeadLetterCode,
        reason: impl Into<String>,
        deliveries: u64,
    ) -> Result<(), Unavailable> {
        let message = match self.events.get_raw_message(sequence).await {
            Ok(message) => message,
            // It expired in this moment, and with it what could be kept.
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(()),
            Err(error) => return Err(Unavailable::new(format!("reading event {sequence}"), error)),
        };
        let payload: Bytes = message.payload;
        let original = Original {
            subject: &message.subject,
            headers: &message.headers,
            payload: &payload,
            stream_sequence: sequence,
            stored_as: stored_as(sequence, message.time),
            deliveries,
        };
        self.dead_letters.bury(original, code, reason).await
    }
}
