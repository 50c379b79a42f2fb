//! Waiting for events without leaving people in the dark.

use std::time::Duration;

use futures::Stream;

use super::error::CliError;
use super::terminal::{DIM, say, styled};
use crate::queue::feed::{self, Event, FeedError};

/// How long nothing may happen before somebody is told what is awaited.
const SILENCE: Duration = Duration::from_secs(5);

/// Events, and what to say once if the first one does not come.
pub(super) struct Listening<S> {
    events: S,
    hint: Option<&'static str>,
}

impl<S: Stream<Item = Result<Event, FeedError>> + Unpin> Listening<S> {
    /// Listens to `events`; `hint` says what is awaited.
    pub(super) fn new(events: S, hint: &'static str) -> Self {
        Self { events, hint: Some(hint) }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Result<Event, CliError> {
        if let Some(hint) = self.hint {
            let first = tokio::time::timeout(SILENCE, feed::next(&mut self.events)).await;
            self.hint = None;
            match first {
                Ok(event) => return event.map_err(|error| CliError::out_of_reach(&error)),
                Err(_) => say(styled(DIM, hint)),
            }
        }
        feed::next(&mut self.events).await.map_err(|error| CliError::out_of_reach(&error))
    }
}
