//! What runs report: `started`, `message`, and the one `completed`.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError as AckError, PublishErrorKind};
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::headers::{self, HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, HEADER_TTL};
use super::publish::publish;
use super::{Connection, Topology, retry};
use crate::events::subjects::{self, EventKind};
use crate::events::{
    RunCompleted, RunKey, RunMessage, RunStarted, RunStatus, RunTelemetryDelivered, TraceContext,
};
use crate::execution::failure::Unavailable;
use crate::settings::EventSettings;
use crate::text::cut;

/// A message that does not fit is cut to this part of what the server takes: JSON may write a byte as six, and the
/// other fields and headers need room, too.
const CONTENT_PART: usize = 8;

/// What the stream did with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It stored it.
    Stored,
    /// It had one already, which stays.
    AlreadyThere,
}

/// The outcome that a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredOutcome {
    /// How it ended; `None` where only a newer worker can tell.
    pub status: Option<RunStatus>,
}

/// Why an event is not stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It does not fit into a message, even without what can be left out.
    #[error(
        "the event {subject} of {bytes} bytes is larger than the server takes; raise the server's `max_payload`"
    )]
    TooLarge {
        /// The subject.
        subject: String,
        /// The payload's size.
        bytes: usize,
    },
    /// The broker does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<PublishError> for Unavailable {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unavailable(error) => error,
            PublishError::TooLarge { ref subject, .. } => {
                Self::new(format!("publishing the event {subject}"), error)
            }
        }
    }
}

/// Publishes the events of runs.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    connection: Connection,
    events: Stream,
    retention: EventSettings,
}

/// One event, ready to be sent as often as it takes.
struct Outgoing {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl EventPublisher {
    /// Publishes into the events stream of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &EventSettings) -> Self {
        Self { connection: connection.clone(), events: topology.events.clone(), retention: settings.clone() }
    }

    /// The run began. Only the first such event of a run is ever stored.
    ///
    /// # Errors
    /// [`PublishError`] if the stream does not have it after all retries.
    pub async fn started(
        &self,
        event: &RunStarted,
        trace: Option<&TraceContext>,
    ) -> Result<Published, PublishError> {
        let key = event.ids.key();
        let mut headers = headers::event(&key, &event.ids.batch_run_id, EventKind::Started.as_str(), trace);
        headers.insert(HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        set_ttl(&mut headers, self.retention.progress_retention_seconds);
        let subject = subjects::event(&key, EventKind::Started);
        self.send(&Outgoing { payload: encode(&subject, event)?, subject, headers }).await
    }

    /// Somebody said something. A text that does not fit into a message is cut.
    ///
    /// # Errors
    /// [`PublishError`] if the stream does not have it after all retries.
    pub async fn message(
        &self,
        event: &RunMessage,
        trace: Option<&TraceContext>,
    ) -> Result<Published, PublishError> {
        let key = event.ids.key();
        let id = format!("{}:{}", EventKind::Message.as_str(), event.index);
        let mut headers = headers::event(&key, &event.ids.batch_run_id, &id, trace);
        set_ttl(&mut headers, self.retention.progress_retention_seconds);
        let subject = subjects::event(&key, EventKind::Message);
        let outgoing = Outgoing { payload: encode(&subject, event)?, subject, headers };
        self.send_or_shorten(outgoing, || shortened(event, self.connection.max_payload())).await
    }

    /// The run is over. Only the first such event of a run is ever stored. One that does not fit into a message goes
    /// without the transcript.
    ///
    /// # Errors
    /// [`PublishError`] if the stream does not have it after all retries.
    pub async fn completed(
        &self,
        event: &RunCompleted,
        trace: Option<&TraceContext>,
    ) -> Result<Published, PublishError> {
        let key = event.ids.key();
        let mut headers = headers::event(&key, &event.ids.batch_run_id, EventKind::Completed.as_str(), trace);
        headers.insert(HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        set_ttl(&mut headers, self.outcome_retention(event.status).as_secs());
        let subject = subjects::event(&key, EventKind::Completed);
        let outgoing = Outgoing { payload: encode(&subject, event)?, subject, headers };
        let without_transcript =
            || RunCompleted { messages: None, messages_truncated: true, ..event.clone() };
        self.send_or_shorten(outgoing, without_transcript).await
    }

    /// Spans that the run's outcome calls spooled have arrived. Only the first such event of a run is ever stored. It is
    /// kept for as long as any outcome.
    ///
    /// # Errors
    /// [`PublishError`] if the stream does not have it after all retries.
    pub async fn telemetry_delivered(
        &self,
        event: &RunTelemetryDelivered,
        trace: Option<&TraceContext>,
    ) -> Result<Published, PublishError> {
        let (key, kind) = (event.ids.key(), EventKind::TelemetryDelivered);
        let mut headers = headers::event(&key, &event.ids.batch_run_id, kind.as_str(), trace);
        headers.insert(HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        set_ttl(&mut headers, self.retention.failed_retention_seconds);
        let subject = subjects::event(&key, kind);
        self.send(&Outgoing { payload: encode(&subject, event)?, subject, headers }).await
    }

    /// How long the outcome of a run is kept.
    #[must_use]
    pub fn outcome_retention(&self, status: RunStatus) -> Duration {
        Duration::from_secs(match status {
            RunStatus::Error => self.retention.failed_retention_seconds,
            RunStatus::Success | RunStatus::Failed | RunStatus::Cancelled => {
                self.retention.completed_retention_seconds
            }
        })
    }

    /// How long the state of a run that is over is kept: no outcome outlives it.
    #[must_use]
    pub fn state_retention(&self) -> Duration {
        Duration::from_secs(self.retention.failed_retention_seconds)
    }

    /// The run's outcome, if it has one.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn outcome(&self, key: &RunKey) -> Result<Option<StoredOutcome>, Unavailable> {
        #[derive(Deserialize)]
        struct Outcome {
            status: RunStatus,
        }
        let stored = self.last(&subjects::event(key, EventKind::Completed)).await?;
        let status = |payload: Bytes| serde_json::from_slice(&payload).ok().map(|Outcome { status }| status);
        Ok(stored.map(|payload| StoredOutcome { status: status(payload) }))
    }

    /// The index of the last message event of the run, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or the stored event cannot be read.
    pub async fn last_message_index(&self, key: &RunKey) -> Result<Option<u32>, Unavailable> {
        #[derive(Deserialize)]
        struct Indexed {
            index: u32,
        }
        let subject = subjects::event(key, EventKind::Message);
        let Some(payload) = self.last(&subject).await? else { return Ok(None) };
        // The rest of it may be a newer worker's.
        let Indexed { index } = serde_json::from_slice(&payload)
            .map_err(|error| Unavailable::new(format!("reading the last event of {subject}"), error))?;
        Ok(Some(index))
    }

    async fn last(&self, subject: &str) -> Result<Option<Bytes>, Unavailable> {
        let get = retry::retry(
            retry::WRITE_PATIENCE,
            |_| retry::Next::Again,
            async || match self.events.direct_get_last_for_subject(subject).await {
                Ok(message) => Ok(Some(message.payload)),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        );
        get.await.map_err(|error| Unavailable::new(format!("reading the last event of {subject}"), error))
    }

    async fn send_or_shorten<T: Serialize>(
        &self,
        outgoing: Outgoing,
        shorten: impl FnOnce() -> T,
    ) -> Result<Published, PublishError> {
        let (subject, bytes) = match self.send(&outgoing).await {
            Err(PublishError::TooLarge { subject, bytes }) => (subject, bytes),
            sent => return sent,
        };
        info!(subject, bytes, "an event does not fit into a message and is shortened");
        let payload = encode(&subject, &shorten())?;
        self.send(&Outgoing { payload, ..outgoing }).await
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Published, PublishError> {
        let Outgoing { subject, headers, payload } = outgoing;
        match publish(&self.connection.jetstream, subject, headers, payload).await {
            Ok(ack) if ack.duplicate => Ok(Published::AlreadyThere),
            Ok(_) => Ok(Published::Stored),
            Err(error) => explain(outgoing, error),
        }
    }
}

fn explain(outgoing: &Outgoing, error: AckError) -> Result<Published, PublishError> {
    let subject = outgoing.subject.clone();
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Ok(Published::AlreadyThere),
        PublishErrorKind::MaxPayloadExceeded => {
            Err(PublishError::TooLarge { subject, bytes: outgoing.payload.len() })
        }
        _ => Err(Unavailable::new(format!("publishing the event {subject}"), error).into()),
    }
}

fn encode(subject: &str, event: &impl Serialize) -> Result<Bytes, PublishError> {
    let payload = serde_json::to_vec(event)
        .map_err(|error| Unavailable::new(format!("writing the event {subject} as JSON"), error))?;
    Ok(payload.into())
}

fn set_ttl(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(HEADER_TTL, seconds.max(1).to_string());
}

/// The message with its text cut and without its tool calls, whose arguments cannot be cut.
fn shortened(event: &RunMessage, max_payload: usize) -> RunMessage {
    let content = cut(&event.content, max_payload / CONTENT_PART);
    RunMessage { content, tool_calls: Vec::new(), ..event.clone() }
}
