//! `watch`: conversations as they happen.

use super::arguments::{Layers, WatchOptions};
use super::error::{CliError, Finished};
use super::listening::Listening;
use super::terminal::{Story, emit, say};
use super::wiring;
use crate::events::BatchRunId;
use crate::events::subjects::EVENTS_STREAM;
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker watch";

/// What is said where nothing happens.
const NOTHING: &str = "nothing has happened yet: runs show up here once one is scheduled and a worker runs (`scenario-worker serve`)";
/// What is said where nothing is known of what is watched.
const NOT_YET: &str =
    "no event of it yet: is the id right, is it scheduled, and does a worker run (`scenario-worker serve`)?";

/// Prints events until Ctrl-C, or until the outcome of the one run that was asked for.
pub(super) async fn run(layers: &Layers, options: WatchOptions) -> Result<Finished, CliError> {
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[EVENTS_STREAM]).await?;
    let filter = FeedFilter { run: options.run.clone(), ..FeedFilter::default() };
    let is_bounded = options.run.is_some() || options.batch.is_some();
    let start = if is_bounded { FeedStart::Beginning } else { FeedStart::Now };
    let opened = feed::open(&connection, &[filter], start).await;
    let events = opened.map_err(|error| CliError::out_of_reach(&error))?;
    let mut events = Listening::new(events, if is_bounded { NOT_YET } else { NOTHING });
    let mut story = Story::default();
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(Finished::Well),
        };
        if let Some(finished) = show(&event, &options, &mut story)? {
            return Ok(finished);
        }
    }
}

/// Prints the event if it was asked for. The outcome of the one run that is watched ends the watching.
fn show(event: &Event, options: &WatchOptions, story: &mut Story) -> Result<Option<Finished>, CliError> {
    if options.batch.as_ref().is_some_and(|batch| batch_of(event) != batch) {
        return Ok(None);
    }
    if options.json {
        emit(event)?;
    } else {
        say(story.tell(event));
    }
    Ok(match event {
        Event::Completed(outcome) if options.run.is_some() && outcome.success => Some(Finished::Well),
        Event::Completed(_) if options.run.is_some() => Some(Finished::WithFailedRuns),
        _ => None,
    })
}

fn batch_of(event: &Event) -> &BatchRunId {
    match event {
        Event::Started(started) => &started.ids.batch_run_id,
        Event::Message(message) => &message.ids.batch_run_id,
        Event::Completed(completed) => &completed.ids.batch_run_id,
    }
}
