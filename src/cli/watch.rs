//! `watch`: conversations as they happen.

use futures::StreamExt as _;

use super::arguments::{Layers, WatchOptions};
use super::error::{CliError, Finished};
use super::terminal::{Story, emit, say};
use super::wiring;
use crate::events::BatchRunId;
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker watch";

/// Prints events until Ctrl-C, or until the outcome of the one run that was asked for.
pub(super) async fn run(layers: &Layers, options: WatchOptions) -> Result<Finished, CliError> {
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    let filter = FeedFilter { run: options.run.clone(), ..FeedFilter::default() };
    let is_bounded = options.run.is_some() || options.batch.is_some();
    let start = if is_bounded { FeedStart::Beginning } else { FeedStart::Now };
    let mut events =
        feed::open(&connection, &[filter], start).await.map_err(|e| CliError::out_of_reach(&e))?;
    let mut story = Story::default();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(Finished::Well),
        };
        let event = event.ok_or_else(|| CliError::OutOfReach("the broker ended the subscription".into()))?;
        let event = event.map_err(|error| CliError::out_of_reach(&error))?;
        if options.batch.as_ref().is_some_and(|batch| batch_of(&event) != batch) {
            continue;
        }
        if options.json {
            emit(&event)?
        } else {
            say(story.tell(&event))
        }
        if let (Event::Completed(outcome), true) = (&event, options.run.is_some()) {
            return Ok(if outcome.success { Finished::Well } else { Finished::WithFailedRuns });
        }
    }
}

fn batch_of(event: &Event) -> &BatchRunId {
    match event {
        Event::Started(started) => &started.batch_run_id,
        Event::Message(message) => &message.batch_run_id,
        Event::Completed(completed) => &completed.batch_run_id,
    }
}
