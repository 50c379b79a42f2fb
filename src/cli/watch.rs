//! `watch`: conversations as they happen.

use std::collections::BTreeMap;
use std::time::Duration;

use super::arguments::{Layers, WatchOptions};
use super::error::{CliError, Finished};
use super::listening::{Hint, Listening};
use super::signals::{StopSignal, StopSignals};
use super::terminal::{
    CellSummary, Story, Tally, cells_table, clear_progress, emit, progress, run_tree, say,
};
use super::wiring;
use crate::events::RunCompleted;
use crate::events::subjects::EVENTS_STREAM;
use crate::queue::feed::{self, Event, FeedFilter, FeedStart};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker watch";

/// How long nothing may happen before somebody is told what is awaited: an event that is there comes at once.
const SILENCE: Duration = Duration::from_secs(2);
/// What is said where nothing happens.
const NOTHING: &str = "nothing has happened yet: runs show up here once one is scheduled and a worker runs (`scenario-worker serve`)";
/// What is said where nothing is known of what is watched.
const NOT_YET: &str =
    "it is waited for: is the id right, is it scheduled, and does a worker run (`scenario-worker serve`)?";

/// Prints events until Ctrl-C, until the outcome of the one run that was asked for, or until a batch of a known size is
/// over.
pub(super) async fn run(layers: &Layers, options: WatchOptions) -> Result<Finished, CliError> {
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[EVENTS_STREAM]).await?;
    let (mut signals, mut watching) = (StopSignals::listen()?, Watching::of(options));
    let (start, hint) = (watching.start(), watching.hint());
    let opened = feed::open(&connection, &[watching.filter()], start).await;
    let mut events = Listening::new(opened.map_err(|error| CliError::out_of_reach(&error))?, hint);
    let finished = loop {
        watching.show_progress();
        let event = tokio::select! {
            event = events.next() => event?,
            signal = signals.received() => break watching.left(signal),
        };
        if let Some(finished) = watching.show(event)? {
            break finished;
        }
    };
    clear_progress();
    Ok(finished)
}

/// What is watched, and what was seen of it.
struct Watching {
    options: WatchOptions,
    story: Story,
    tally: Tally,
    /// Outcomes of a batch by scenario and target.
    seen: BTreeMap<String, CellSummary>,
}

impl Watching {
    fn of(options: WatchOptions) -> Self {
        let story = if options.run.is_some() { Story::default() } else { Story::of_many() };
        let tally = Tally::of(options.size.map(u64::from));
        Self { options, story, tally, seen: BTreeMap::new() }
    }

    fn filter(&self) -> FeedFilter {
        let WatchOptions { project, run, .. } = &self.options;
        FeedFilter { project: project.clone(), run: run.clone(), kind: None }
    }

    /// Where the watching begins.
    fn start(&self) -> FeedStart {
        let is_bounded = self.options.run.is_some() || self.options.batch.is_some();
        if is_bounded { FeedStart::Beginning } else { FeedStart::Now }
    }

    /// What people are told where nothing comes of it.
    fn hint(&self) -> Option<Hint> {
        let text = match (&self.options.run, &self.options.batch) {
            (Some(run), _) => format!("no event of run {run} yet; {NOT_YET}"),
            (None, Some(batch)) => format!("no event of batch {batch} yet; {NOT_YET}"),
            (None, None) => NOTHING.to_owned(),
        };
        (!self.options.json).then_some(Hint { text, after: SILENCE })
    }

    fn show_progress(&self) {
        if self.options.batch.is_some() && !self.options.json {
            progress(&self.tally);
        }
    }

    /// Prints the event if it was asked for. The outcome of the one run that is watched ends the watching, and so does the
    /// last one of a batch.
    fn show(&mut self, event: Event) -> Result<Option<Finished>, CliError> {
        if self.options.batch.as_ref().is_some_and(|batch| event.ids().batch_run_id != *batch) {
            return Ok(None);
        }
        self.tally.note(&event);
        if self.options.json {
            emit(&event)?;
        } else {
            say(self.story.tell(&event));
        }
        match event {
            Event::Completed(outcome) => Ok(self.complete(&outcome)),
            Event::Started(_) | Event::Message(_) => Ok(None),
        }
    }

    fn complete(&mut self, outcome: &RunCompleted) -> Option<Finished> {
        if self.options.batch.is_some() {
            let (scenario, target) = (&outcome.ids.scenario_id, &outcome.target);
            let name = format!("{scenario} {}:{}", target.kind, target.reference_id);
            self.seen.entry(name).or_default().add(outcome);
        }
        if self.options.tree {
            say(format_args!("\n{}", run_tree(outcome)));
        }
        let is_over = self.options.run.is_some() || self.tally.is_over();
        is_over.then(|| self.finish())
    }

    fn finish(&mut self) -> Finished {
        self.sum_up();
        if self.tally.all_passed() { Finished::Well } else { Finished::WithFailedRuns }
    }

    /// Whoever leaves a batch before its end hears what came of it so far; leaving is no failure.
    fn left(&mut self, signal: StopSignal) -> Finished {
        self.sum_up();
        match signal {
            StopSignal::Interrupt => Finished::Well,
            StopSignal::Terminate => Finished::Stopped(signal),
        }
    }

    fn sum_up(&mut self) {
        clear_progress();
        if self.options.batch.is_some() && !self.options.json && self.tally.done() > 0 {
            let rows: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
            say(format_args!("\n{}\n{}", cells_table(&rows), self.tally));
        }
    }
}
