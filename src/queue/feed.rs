//! Listening to what runs report: for people at a terminal and for whoever waits for an outcome.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{self, OrderedConfig};
use futures::stream::{Stream, StreamExt as _};
use serde::Serialize;
use tokio::time::Instant;
use tracing::info;

use super::Connection;
use super::retry::Pause;
use crate::events::subjects::{EVENTS_STREAM, EventKind};
use crate::events::{ProjectId, RunCompleted, RunId, RunIds, RunMessage, RunStarted};

/// How long the broker may be away before listening fails.
const OUTAGE_PATIENCE: Duration = Duration::from_mins(10);

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

impl Event {
    /// Which run it is about.
    #[must_use]
    pub fn ids(&self) -> &RunIds {
        match self {
            Self::Started(started) => &started.ids,
            Self::Message(message) => &message.ids,
            Self::Completed(completed) => &completed.ids,
        }
    }
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

/// Listens to the events of `filters`. It reads only. Where the broker goes away it is waited for, and listening goes on
/// behind the last event: none is lost, none comes twice.
///
/// # Errors
/// [`FeedError::Subscribe`] if the stream is not there or may not be read.
pub async fn open(
    connection: &Connection,
    filters: &[FeedFilter],
    start: FeedStart,
) -> Result<impl Stream<Item = Result<Event, FeedError>> + Unpin + use<>, FeedError> {
    let stream = connection.jetstream.get_stream(EVENTS_STREAM).await.map_err(|e| subscribe(&e))?;
    let next = match start {
        FeedStart::Beginning => 1,
        FeedStart::Now => stream.cached_info().state.last_sequence + 1,
    };
    let filter_subjects = filters.iter().map(FeedFilter::subject).collect();
    let at = Position { connection: connection.clone(), filter_subjects, next };
    let feed = Feed { open: Some(at.subscribe().await?), at, outage: None };
    let events = futures::stream::unfold(feed, |mut feed| async move { Some((feed.next().await, feed)) });
    Ok(events.boxed())
}

/// What is listened to, and how far.
struct Position {
    connection: Connection,
    filter_subjects: Vec<String>,
    /// The stream's sequence at which it goes on.
    next: u64,
}

/// Listening that survives the consumer which it uses.
struct Feed {
    at: Position,
    open: Option<Open>,
    outage: Option<Outage>,
}

/// A consumer of this connection.
struct Open {
    messages: pull::Ordered,
    times_made: u64,
}

/// A time in which nothing can be heard.
struct Outage {
    until: Instant,
    pause: Pause,
}

impl Position {
    async fn subscribe(&self) -> Result<Open, FeedError> {
        let times_made = self.connection.times_made();
        let config = OrderedConfig {
            filter_subjects: self.filter_subjects.clone(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            ..OrderedConfig::default()
        };
        let consumer = self.connection.jetstream.create_consumer_on_stream(config, EVENTS_STREAM).await;
        let messages = consumer.map_err(|e| subscribe(&e))?.messages().await.map_err(|e| subscribe(&e))?;
        Ok(Open { messages, times_made })
    }
}

impl Feed {
    /// The next event. What goes wrong is tried again, until an outage has lasted too long.
    async fn next(&mut self) -> Result<Event, FeedError> {
        loop {
            match self.hear().await {
                Ok(Some(message)) => {
                    self.outage = None;
                    if let Some(event) = read(&message)? {
                        return Ok(event);
                    }
                }
                Ok(None) => {}
                Err(error) => self.wait_after(error).await?,
            }
        }
    }

    /// The next message that was not heard before.
    async fn hear(&mut self) -> Result<Option<Message>, FeedError> {
        let Some(open) = &mut self.open else {
            self.open = Some(self.at.subscribe().await?);
            return Ok(None);
        };
        let message = tokio::select! {
            // First, so that what has arrived is heard.
            biased;
            message = open.messages.next() => message.ok_or(FeedError::Ended)?,
            () = self.at.connection.lost_since(open.times_made) => {
                return Err(FeedError::Delivery("the connection was lost".to_owned()));
            }
        };
        let message = message.map_err(|error| FeedError::Delivery(error.to_string()))?;
        let sequence =
            message.info().map_err(|error| FeedError::Delivery(error.to_string()))?.stream_sequence;
        // The client library may begin anew at the first message of all.
        let is_new = sequence >= self.at.next;
        self.at.next = self.at.next.max(sequence + 1);
        Ok(is_new.then_some(message))
    }

    /// Waits before the next attempt, unless the outage has lasted too long.
    async fn wait_after(&mut self, error: FeedError) -> Result<(), FeedError> {
        info!(%error, "listening to events was interrupted; trying again");
        self.open = None;
        let outage = self.outage.get_or_insert_with(|| Outage {
            until: Instant::now() + OUTAGE_PATIENCE,
            pause: Pause::default(),
        });
        if Instant::now() >= outage.until {
            return Err(error);
        }
        tokio::time::sleep(outage.pause.next()).await;
        let left = outage.until.saturating_duration_since(Instant::now());
        // Without the broker there is nothing to try, but not for ever.
        drop(tokio::time::timeout(left, self.at.connection.made()).await);
        Ok(())
    }
}

fn subscribe(error: &dyn std::fmt::Display) -> FeedError {
    FeedError::Subscribe(error.to_string())
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

fn read(message: &Message) -> Result<Option<Event>, FeedError> {
    let payload = message.payload.as_ref();
    let event = match EventKind::from_subject(&message.subject) {
        Some(EventKind::Started) => serde_json::from_slice(payload).map(Event::Started),
        Some(EventKind::Message) => serde_json::from_slice(payload).map(Event::Message),
        Some(EventKind::Completed) => serde_json::from_slice(payload).map(Event::Completed),
        Some(EventKind::TelemetryDelivered) | None => return Ok(None),
    };
    event.map(Some).map_err(|source| FeedError::Undecodable { subject: message.subject.to_string(), source })
}
