//! Putting the words of a stream together, event by event.

use serde_json::Value;

use super::path::{ReplyPath, words};
use super::streaming::{Accumulate, Signal, StreamFormat, StreamRules, USUAL_MARKER};
use super::tool_calls::{ToolCallRules, ToolCalls};
use super::usage::UsageRules;
use crate::events::{TokenUsage, ToolCall};
use crate::stream::{DEFAULT_EVENT_NAME, NdjsonDecoder, SseDecoder, SseEvent, StreamError};

/// Why a stream is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamFault {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] StreamError),
    /// An event that should have words is not JSON.
    #[error("event {event} of the stream is not JSON: {reason}")]
    NotJson { event: u64, reason: String },
    /// It says things that cannot be.
    #[error("{0}")]
    Impossible(String),
    /// It says that the agent failed.
    #[error("{0}")]
    Reported(String),
    /// It ended too early.
    #[error("the stream ended before `stream.done` said that the answer is complete")]
    Unfinished,
}

/// What a stream came to.
#[derive(Debug, PartialEq)]
pub(super) struct Assembled {
    pub(super) words: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) usage: TokenUsage,
}

/// A stream so far.
pub(super) struct Assembly<'a> {
    rules: &'a StreamRules,
    counting: &'a UsageRules,
    decoder: Decoder,
    events: u64,
    words: String,
    calls: ToolCalls<'a>,
    usage: TokenUsage,
    done: bool,
}

enum Decoder {
    Sse(SseDecoder),
    Ndjson(NdjsonDecoder),
}

/// One event, with its JSON if it has any.
struct Event {
    name: String,
    data: String,
    json: Result<Value, serde_json::Error>,
}

impl From<SseEvent> for Event {
    fn from(SseEvent { name, data }: SseEvent) -> Self {
        let json = serde_json::from_str(&data);
        Self { name, data, json }
    }
}

impl From<Value> for Event {
    fn from(value: Value) -> Self {
        Self { name: DEFAULT_EVENT_NAME.to_owned(), data: String::new(), json: Ok(value) }
    }
}

impl<'a> Assembly<'a> {
    /// A stream that has not begun. No event may be larger than `limit` bytes.
    pub(super) fn new(
        rules: &'a StreamRules,
        calls: Option<&'a ToolCallRules>,
        counting: &'a UsageRules,
        limit: usize,
    ) -> Self {
        let decoder = match rules.format {
            StreamFormat::Sse => Decoder::Sse(SseDecoder::new(limit)),
            StreamFormat::Ndjson => Decoder::Ndjson(NdjsonDecoder::new(limit)),
        };
        let calls = ToolCalls::new(calls, rules.accumulate.into());
        let (words, usage) = (String::new(), TokenUsage::default());
        Self { rules, counting, decoder, events: 0, words, calls, usage, done: false }
    }

    /// Takes in more of the stream. What comes behind the end of the answer is not looked at.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), StreamFault> {
        let (events, fault) = self.decoder.decode(bytes);
        for event in events {
            if self.done {
                return Ok(());
            }
            self.take(&event)?;
        }
        if self.done { Ok(()) } else { Ok(fault?) }
    }

    /// Whether the answer is complete.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether anything was said yet.
    pub(super) fn has_begun(&self) -> bool {
        !self.words.is_empty() || !self.calls.is_empty()
    }

    /// The answer, once the stream has ended or is done.
    pub(super) fn finish(mut self) -> Result<Assembled, StreamFault> {
        if !self.done {
            let last = self.decoder.rest()?;
            last.map_or(Ok(()), |event| self.take(&event))?;
        }
        if !self.done && self.rules.done.is_some() {
            return Err(StreamFault::Unfinished);
        }
        let calls = self.calls.finish().map_err(StreamFault::Impossible)?;
        Ok(Assembled { words: self.words, calls, usage: self.usage })
    }

    fn take(&mut self, event: &Event) -> Result<(), StreamFault> {
        self.events += 1;
        if let Some(error) = self.rules.error.as_ref().and_then(|signal| signal.said_by(event)) {
            return Err(StreamFault::Reported(error));
        }
        self.done = self.ends(event);
        if let Ok(json) = &event.json {
            self.counting.take(json, &mut self.usage);
            self.calls.take(json).map_err(StreamFault::Impossible)?;
        }
        self.listen(event)
    }

    fn ends(&self, event: &Event) -> bool {
        match &self.rules.done {
            Some(signal) => signal.said_by(event).is_some(),
            None => event.data.trim() == USUAL_MARKER,
        }
    }

    /// Words of an event that should have some.
    fn listen(&mut self, event: &Event) -> Result<(), StreamFault> {
        let has_words = self.rules.events.is_empty() || self.rules.events.contains(&event.name);
        let heard = match (&self.rules.delta, &event.json) {
            _ if !has_words => return Ok(()),
            (None, _) if self.done => return Ok(()),
            (None, _) => event.data.clone(),
            (Some(delta), Ok(json)) => said_at(delta, json),
            // Signs of life and markers are no JSON, and need not be.
            (Some(_), Err(_)) if self.done || event.data.trim().is_empty() => return Ok(()),
            (Some(_), Err(error)) => {
                return Err(StreamFault::NotJson { event: self.events, reason: error.to_string() });
            }
        };
        match self.rules.accumulate {
            Accumulate::Append => self.words.push_str(&heard),
            Accumulate::Last if !heard.is_empty() => self.words = heard,
            Accumulate::Last => {}
        }
        Ok(())
    }
}

fn said_at(path: &ReplyPath, json: &Value) -> String {
    path.all(json).into_iter().map(words).collect()
}

impl Signal {
    /// The event's words about it, if it says it.
    fn said_by(&self, event: &Event) -> Option<String> {
        match self {
            Self::Event(name) => (event.name == *name).then(|| event.data.clone()),
            Self::Marker(marker) => (event.data.trim() == marker).then(|| marker.clone()),
            Self::Holds(condition) => condition.matched(event.json.as_ref().ok()?).map(words),
        }
    }
}

impl Decoder {
    /// The events that `bytes` complete, and why there are no more.
    fn decode(&mut self, bytes: &[u8]) -> (Vec<Event>, Result<(), StreamError>) {
        match self {
            Self::Sse(decoder) => {
                let mut events = Vec::new();
                let result = decoder.push(bytes, &mut events);
                (events.into_iter().map(Event::from).collect(), result)
            }
            Self::Ndjson(decoder) => {
                let mut values = Vec::new();
                let result = decoder.push(bytes, &mut values);
                (values.into_iter().map(Event::from).collect(), result)
            }
        }
    }

    /// A last event that nothing ends; of server-sent events there is none.
    fn rest(&mut self) -> Result<Option<Event>, StreamError> {
        match std::mem::replace(self, Self::Sse(SseDecoder::new(0))) {
            Self::Sse(_) => Ok(None),
            Self::Ndjson(decoder) => Ok(decoder.finish()?.map(Event::from)),
        }
    }
}

#[cfg(test)]
mod tests;
