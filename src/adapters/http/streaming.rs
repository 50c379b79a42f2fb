//! How the words of an agent that answers bit by bit are put together: what a definition says of it.

use serde::Deserialize;

use super::condition::{Condition, ConditionDefinition};
use super::path::ReplyPath;
use super::tool_calls::Joining;

/// What begins a `JSONPath`.
const PATH_SIGN: char = '$';
/// What most agents that stream over server-sent events end with.
pub(super) const USUAL_MARKER: &str = "[DONE]";

/// What a definition says of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StreamDefinition {
    /// What it is written in.
    format: StreamFormat,
    /// Where words are in an event: a `JSONPath`. Without one, the data of server-sent events is the words.
    #[serde(default)]
    delta: Option<String>,
    /// The names of the events that have words; without any, all have.
    #[serde(default)]
    event: NamesDefinition,
    /// What says that the answer is complete. Without it, the end of the stream does.
    #[serde(default)]
    done: Option<SignalDefinition>,
    /// What says that the agent failed.
    #[serde(default)]
    error: Option<SignalDefinition>,
    /// What becomes of words that are there when more come.
    #[serde(default)]
    accumulate: Accumulate,
}

/// What a stream is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StreamFormat {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    Ndjson,
}

/// What becomes of words that are there when more come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Accumulate {
    /// The new ones are put behind them.
    #[default]
    Append,
    /// The new ones take their place: each event has the answer so far.
    Last,
}

impl From<Accumulate> for Joining {
    fn from(accumulate: Accumulate) -> Self {
        match accumulate {
            Accumulate::Append => Self::Append,
            Accumulate::Last => Self::Replace,
        }
    }
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it is neither a name nor a list of names")]
enum NamesDefinition {
    One(String),
    Several(Vec<String>),
}

impl Default for NamesDefinition {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// What an event says about the stream, as it is written.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "it is no marker, no JSONPath, no map of `event`, and no map of `path` with `equals` or `oneOf`"
)]
enum SignalDefinition {
    /// Every event of this name.
    Event(EventDefinition),
    /// A `JSONPath`, or else the data of an event word for word; or a path and what it matches.
    Condition(ConditionDefinition),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventDefinition {
    event: String,
}

/// What an event says about the stream.
#[derive(Debug)]
pub(super) enum Signal {
    /// Every event of this name says it.
    Event(String),
    /// Every event with just this data says it.
    Marker(String),
    /// Every event of which this holds says it.
    Holds(Condition),
}

/// How a stream becomes words.
#[derive(Debug)]
pub(super) struct StreamRules {
    pub(super) format: StreamFormat,
    pub(super) delta: Option<ReplyPath>,
    pub(super) events: Vec<String>,
    pub(super) done: Option<Signal>,
    pub(super) error: Option<Signal>,
    pub(super) accumulate: Accumulate,
}

impl StreamRules {
    /// Reads what a definition says.
    pub(super) fn read(definition: &StreamDefinition) -> Result<Self, String> {
        let rules = Self {
            format: definition.format,
            delta: ReplyPath::parse_written("stream.delta", definition.delta.as_ref())?,
            events: match &definition.event {
                NamesDefinition::One(name) => vec![name.clone()],
                NamesDefinition::Several(names) => names.clone(),
            },
            done: signal("stream.done", definition.done.as_ref())?,
            error: signal("stream.error", definition.error.as_ref())?,
            accumulate: definition.accumulate,
        };
        if rules.format == StreamFormat::Ndjson { rules.of_lines() } else { Ok(rules) }
    }

    /// Lines have neither names nor data that is not JSON.
    fn of_lines(self) -> Result<Self, String> {
        let needs_events =
            |signal: &Option<Signal>| matches!(signal, Some(Signal::Event(_) | Signal::Marker(_)));
        if self.delta.is_none() {
            return Err("stream.delta: a stream of ndjson needs to know where words are".to_owned());
        }
        if !self.events.is_empty() {
            return Err("stream.event: lines of ndjson have no names".to_owned());
        }
        for (field, signal) in [("done", &self.done), ("error", &self.error)] {
            if needs_events(signal) {
                return Err(format!(
                    "stream.{field}: of ndjson only a JSONPath or a map of `path` can be asked"
                ));
            }
        }
        Ok(self)
    }
}

fn signal(field: &'static str, definition: Option<&SignalDefinition>) -> Result<Option<Signal>, String> {
    Ok(match definition {
        None => None,
        Some(SignalDefinition::Event(EventDefinition { event })) => Some(Signal::Event(event.clone())),
        Some(SignalDefinition::Condition(ConditionDefinition::Matches(text)))
            if !text.trim_start().starts_with(PATH_SIGN) =>
        {
            let marker = text.trim();
            if marker.is_empty() {
                return Err(format!("{field}: it is empty; leave it out, or say what to look for"));
            }
            Some(Signal::Marker(marker.to_owned()))
        }
        Some(SignalDefinition::Condition(condition)) => {
            Some(Signal::Holds(Condition::parse(field, condition)?))
        }
    })
}
