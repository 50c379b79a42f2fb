//! Listening to what runs report: for people at a terminal and for whoever waits for an outcome.

use async_nats::jetstream::consumer::{DeliverPolicy, pull::OrderedConfig};
use futures::stream::{Stream, StreamExt as _};
use serde::Serialize;

use super::Connection;
use crate::events::subjects::{EVENTS_STREAM, EventKind};
use crate::events::{ProjectId, RunCompleted, RunId, RunMessage, RunStarted};

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A run began.
    Started(Box<RunStarted>),
    /// Something was said.
    Message(Box<RunMessage>),
    /// A run came to its outcome.
    Completed(Box<RunCompleted>),
}

/// Which events are listened to.
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    /// Of one project only.
    pub project: Option<ProjectId>,
    /// Of one run only.
    pub run: Option<RunId>,
    /// Of one kind only.
    pub kind: Option<EventKind>,
}

impl FeedFilter {
    fn subject(&self) -> String {
        let project = self.project.as_ref().map_or("*", ProjectId::as_str);
        let run = self.run.as_ref().map_or("*", RunId::as_str);
        let kind = self.kind.map_or("*", EventKind::as_str);
        format!("scenario.events.{project}.{run}.{kind}")
    }
}

/// Where listening begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// With everything that the stream still has.
    Beginning,
    /// With what comes from now on.
    Now,
}

/// Events cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The stream or its consumer is not to be had.
    #[error("cannot listen on stream {EVENTS_STREAM}: {0}")]
    Subscribe(String),
    /// The server ended the subscription.
    #[error("the broker ended the subscription to stream {EVENTS_STREAM}")]
    Ended,
    /// The server stopped delivering.
    #[error("listening on stream {EVENTS_STREAM} failed: {0}")]
    Delivery(String),
    /// An event is not what its subject says.
    #[error("the event on '{subject}' cannot be read: {source}")]
    Undecodable {
        /// Its subject.
        subject: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Listens to the events of `filters`. An ordered consumer: it reads only, and heals itself after a reconnect.
///
/// # Errors
/// [`FeedError::Subscribe`] if the stream is not there or may not be read.
pub async fn open(
    connection: &Connection,
    filters: &[FeedFilter],
    start: FeedStart,
) -> Result<impl Stream<Item = Result<Event, FeedError>> + Unpin + use<>, FeedError> {
    let subscribe = |error: &dyn std::fmt::Display| FeedError::Subscribe(error.to_string());
    let stream = connection.jetstream.get_stream(EVENTS_STREAM).await.map_err(|e| subscribe(&e))?;
    let config = OrderedConfig {
        filter_subjects: filters.iter().map(FeedFilter::subject).collect(),
        deliver_policy: match start {
            FeedStart::Beginning => DeliverPolicy::All,
            FeedStart::Now => DeliverPolicy::New,
        },
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|e| subscribe(&e))?;
    let messages = consumer.messages().await.map_err(|e| subscribe(&e))?;
    Ok(messages.filter_map(|message| std::future::ready(read(message).transpose())).boxed())
}

/// The next event.
///
/// # Errors
/// [`FeedError`] if there will be none, or it cannot be read.
pub async fn next(
    events: &mut (impl Stream<Item = Result<Event, FeedError>> + Unpin),
) -> Result<Event, FeedError> {
    events.next().await.ok_or(FeedError::Ended)?
}

fn read<E: std::fmt::Display>(
    message: Result<async_nats::jetstream::Message, E>,
) -> Result<Option<Event>, FeedError> {
    let message = message.map_err(|error| FeedError::Delivery(error.to_string()))?;
    let payload = message.payload.as_ref();
    let event = match EventKind::from_subject(&message.subject) {
        Some(EventKind::Started) => serde_json::from_slice(payload).map(Event::Started),
        Some(EventKind::Message) => serde_json::from_slice(payload).map(Event::Message),
        Some(EventKind::Completed) => serde_json::from_slice(payload).map(Event::Completed),
        None => return Ok(None),
    };
    event.map(Some).map_err(|source| FeedError::Undecodable { subject: message.subject.to_string(), source })
}
