//! Finished runs, as the stream of events has them.

use async_nats::jetstream::stream::DirectGetErrorKind;
use futures::StreamExt as _;

use super::Connection;
use super::feed::{self, Event, FeedError, FeedFilter, FeedStart};
use super::retry::{self, Next};
use crate::events::subjects::{self, EVENTS_STREAM, EventKind};
use crate::events::{RunCompleted, RunKey, TranscriptMessage};
use crate::execution::failure::Unavailable;

/// What was said in a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream does not answer, or what it has cannot be read.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The run's events cannot be listened to.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The outcome left the transcript out, and its messages have expired.
    #[error("the transcript of the run {run} is not kept any more: {found} of its messages are left")]
    Incomplete {
        /// The run.
        run: RunKey,
        /// Messages that are left.
        found: usize,
    },
}

/// The outcome of a run, if it has one that is still kept.
///
/// # Errors
/// [`Unavailable`] if the broker does not answer for long, or the stored event cannot be read.
pub async fn outcome(connection: &Connection, run: &RunKey) -> Result<Option<RunCompleted>, Unavailable> {
    let subject = subjects::event(run, EventKind::Completed);
    let failed =
        |error: async_nats::Error| Unavailable::new(format!("reading the last event of {subject}"), error);
    let stream = connection.jetstream.get_stream_no_info(EVENTS_STREAM).await;
    let stream = stream.map_err(|error| failed(error.into()))?;
    let last = retry::retry(
        retry::WRITE_PATIENCE,
        |_| Next::Again,
        async || match stream.direct_get_last_for_subject(subject.as_str()).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        },
    );
    let Some(payload) = last.await.map_err(|error| failed(error.into()))? else { return Ok(None) };
    serde_json::from_slice(&payload).map(Some).map_err(|error| failed(error.into()))
}

/// What was said in the run of `outcome`: the outcome repeats it, unless it was too long for that.
///
/// # Errors
/// [`ArchiveError`] if the messages cannot be read, or not all of them are kept.
pub async fn transcript(
    connection: &Connection,
    outcome: &RunCompleted,
) -> Result<Vec<TranscriptMessage>, ArchiveError> {
    if let Some(messages) = &outcome.messages {
        return Ok(messages.clone());
    }
    let run = outcome.ids.key();
    let messages = messages(connection, &run).await?;
    let is_whole = (0..).zip(&messages).all(|(index, message): (u32, _)| message.index == index);
    let found = messages.len();
    if is_whole && found > 0 { Ok(messages) } else { Err(ArchiveError::Incomplete { run, found }) }
}

/// The message events that are left of a run that is over.
async fn messages(connection: &Connection, run: &RunKey) -> Result<Vec<TranscriptMessage>, FeedError> {
    let RunKey { project, run } = run.clone();
    let filter = FeedFilter { project: Some(project), run: Some(run), kind: None };
    let mut events = feed::open(connection, &[filter], FeedStart::Beginning).await?;
    let mut messages = Vec::new();
    while let Some(event) = events.next().await {
        match event? {
            Event::Started(_) => {}
            Event::Message(message) => messages.push((*message).into()),
            Event::Completed(_) => break,
        }
    }
    Ok(messages)
}
