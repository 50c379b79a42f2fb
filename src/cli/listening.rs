//! Waiting for events without leaving people in the dark.

use std::time::Duration;

use futures::Stream;

use super::error::CliError;
use super::terminal::{DIM, say, styled};
use crate::queue::feed::{self, Event, FeedError};

/// Events, and what to say once if the first one does not come.
pub(super) struct Listening<S> {
    events: S,
    hint: Option<Hint>,
}

/// What is said where nothing happens.
pub(super) struct Hint {
    /// What is awaited.
    pub(super) text: String,
    /// How long nothing may happen before it is said.
    pub(super) after: Duration,
}

impl<S: Stream<Item = Result<Event, FeedError>> + Unpin> Listening<S> {
    /// Listens to `events`; `hint` says what is awaited; without one nothing is said.
    pub(super) fn new(events: S, hint: Option<Hint>) -> Self {
        Self { events, hint }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Result<Event, CliError> {
        if let Some(Hint { text, after }) = &self.hint {
            let (first, text) =
                (tokio::time::timeout(*after, feed::next(&mut self.events)).await, text.clone());
            self.hint = None;
            match first {
                Ok(event) => return event.map_err(|error| CliError::out_of_reach(&error)),
                Err(_) => say(styled(DIM, &text)),
            }
        }
        feed::next(&mut self.events).await.map_err(|error| CliError::out_of_reach(&error))
    }
}
