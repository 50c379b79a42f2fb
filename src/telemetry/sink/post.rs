//! One thing that the platform is told.

use super::Story;
use super::ending::results;
use super::wire::{Content, Event, Metadata};
use crate::events::{RunCompleted, RunIds, RunStarted, TargetRef};

/// What a run is called whose scenario does not exist any more.
const UNKNOWN_SCENARIO: &str = "Unknown Scenario";

/// One thing that the platform is told.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The sequence of the event that says it.
    pub source: u64,
    /// Up to which sequence events are done with behind it.
    pub through: u64,
    /// When it was, in milliseconds since 1970.
    pub at: i64,
    /// How many messages there are.
    pub messages: usize,
    /// What is told.
    pub body: Body<'a>,
    pub(super) ids: &'a RunIds,
    pub(super) story: &'a Story,
}

/// What is told.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// The run began.
    Started(&'a RunStarted),
    /// A run that never came to be played.
    Unplayed {
        /// Its target.
        target: &'a TargetRef,
        /// Its scenario's name, where that is known.
        name: Option<&'a str>,
    },
    /// All that was said so far.
    Messages,
    /// The run is over.
    Finished(&'a RunCompleted),
}

impl Post<'_> {
    /// The event as JSON, with at most `most` bytes of text in each message.
    pub(super) fn encode(&self, most: usize) -> Result<Vec<u8>, serde_json::Error> {
        let run = self.ids.scenario_run_id.as_str();
        let content = match self.body {
            Body::Started(started) => Content::Started { metadata: beginning(started) },
            Body::Unplayed { target, name } => Content::Started { metadata: unplayed(target, name) },
            Body::Messages => {
                Content::Messages { messages: self.story.wire_messages(run, self.messages, most) }
            }
            Body::Finished(completed) => {
                Content::Finished { status: completed.status, results: results(completed) }
            }
        };
        serde_json::to_vec(&Event::new(self.ids, self.at, content))
    }
}

fn beginning(started: &RunStarted) -> Metadata<'_> {
    Metadata {
        langwatch: (&started.target).into(),
        target: &started.target,
        parameters: Some(&started.parameters).filter(|parameters| !parameters.is_empty()),
        labels: &started.scenario.labels,
        name: &started.scenario.name,
        description: started.scenario.situation.as_deref(),
    }
}

fn unplayed<'a>(target: &'a TargetRef, name: Option<&'a str>) -> Metadata<'a> {
    let name = name.unwrap_or(UNKNOWN_SCENARIO);
    Metadata { langwatch: target.into(), target, parameters: None, labels: &[], name, description: None }
}
