//! What the stream has of a run, and what is to be said next.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::cutting::{Words, tool_calls};
use super::wire::Message;
use super::{Body, Post, Progress};
use crate::events::subjects::EventKind;
use crate::events::{
    MessageRole, RunCompleted, RunIds, RunMessage, RunStarted, ScenarioId, ToolCall, TranscriptMessage,
};

/// Nanoseconds in a millisecond, in which the platform counts.
const NANOS_PER_MILLI: i128 = 1_000_000;

/// Where and since when the stream has an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When it was stored.
    pub stored_at: OffsetDateTime,
}

/// The events of one run, as far as they were read.
#[derive(Debug, Default)]
pub struct Story {
    ids: Option<RunIds>,
    started: Option<(u64, RunStarted)>,
    lines: BTreeMap<u32, Line>,
    completed: Option<(u64, RunCompleted)>,
    newest: Option<Entry>,
    name: Option<String>,
}

/// A message of the conversation.
#[derive(Debug)]
struct Line {
    /// The event that says it.
    source: u64,
    role: MessageRole,
    words: Words,
    calls: Vec<ToolCall>,
    trace_id: Option<String>,
    at: i64,
}

impl Story {
    /// Reads the next event.
    ///
    /// # Errors
    /// Whatever is wrong with its bytes; the story is as before then.
    pub fn read(&mut self, kind: EventKind, payload: &[u8], entry: Entry) -> Result<(), serde_json::Error> {
        match kind {
            EventKind::Started => {
                let event: RunStarted = serde_json::from_slice(payload)?;
                self.ids.get_or_insert_with(|| event.ids.clone());
                self.started.get_or_insert((entry.sequence, event));
            }
            EventKind::Message => self.message(entry.sequence, serde_json::from_slice(payload)?),
            EventKind::Completed => self.completed(entry.sequence, serde_json::from_slice(payload)?),
            EventKind::TelemetryDelivered => {}
        }
        self.newest = Some(entry);
        Ok(())
    }

    /// Leaves out an event that cannot be read.
    pub fn pass_over(&mut self, entry: Entry) {
        self.newest = Some(entry);
    }

    /// A worker that lost the run may still say something when it is over.
    fn message(&mut self, source: u64, event: RunMessage) {
        if self.is_over() {
            return;
        }
        let RunMessage { ids, index, role, content, tool_calls, trace_id, at, .. } = event;
        self.ids.get_or_insert(ids);
        let line = Line {
            source,
            role,
            words: Words::new(&content),
            calls: tool_calls,
            trace_id: Some(trace_id).filter(|id| !id.is_empty()),
            at: millis(at),
        };
        self.lines.entry(index).or_insert(line);
    }

    /// The outcome repeats the transcript, of which events may have expired.
    fn completed(&mut self, sequence: u64, mut event: RunCompleted) {
        if self.is_over() {
            return;
        }
        for TranscriptMessage { index, role, content, tool_calls, .. } in
            event.messages.take().into_iter().flatten()
        {
            self.lines.entry(index).or_insert_with(|| Line {
                source: sequence,
                role,
                words: Words::new(&content),
                calls: tool_calls,
                trace_id: event.telemetry.trace_id.clone(),
                at: millis(event.started_at),
            });
        }
        self.ids.get_or_insert_with(|| event.ids.clone());
        self.completed = Some((sequence, event));
    }

    /// Where the reading goes on.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.newest.map_or(0, |entry| entry.sequence)
    }

    /// The newest event.
    #[must_use]
    pub fn newest(&self) -> Option<Entry> {
        self.newest
    }

    /// Whether it has an end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.completed.is_some()
    }

    /// Messages from the first one on, without a gap.
    #[must_use]
    pub fn messages(&self) -> usize {
        (0..).zip(self.lines.keys()).take_while(|(expected, index)| expected == *index).count()
    }

    /// Whether its end is there and its beginning is not: a run that never came to be played has none.
    #[must_use]
    pub fn has_no_beginning(&self) -> bool {
        self.started.is_none() && self.is_over()
    }

    /// The scenario, as far as any event says it.
    #[must_use]
    pub fn scenario(&self) -> Option<&ScenarioId> {
        self.ids.as_ref().map(|ids| &ids.scenario_id)
    }

    /// Says what the scenario is called, where no event does.
    pub fn call(&mut self, name: String) {
        self.name = Some(name);
    }

    /// The next thing that the platform has to be told, if there is any.
    #[must_use]
    pub fn next(&self, progress: &Progress) -> Option<Post<'_>> {
        if progress.over {
            return None;
        }
        if !progress.started {
            return self.start(progress);
        }
        self.said(progress).or_else(|| self.end(progress))
    }

    fn start(&self, progress: &Progress) -> Option<Post<'_>> {
        let (source, through, body) = match (&self.started, &self.completed) {
            (Some((sequence, event)), _) => (*sequence, *sequence, Body::Started(event)),
            (None, Some((sequence, event))) => (*sequence, 0, self.unplayed(event)),
            (None, None) => return None,
        };
        let at = progress.behind_last(self.at(0));
        Some(Post { source, through, at, messages: 0, body, ids: self.ids.as_ref()?, story: self })
    }

    fn unplayed<'a>(&'a self, event: &'a RunCompleted) -> Body<'a> {
        Body::Unplayed { target: &event.target, name: self.name.as_deref() }
    }

    fn said(&self, progress: &Progress) -> Option<Post<'_>> {
        let messages = self.messages();
        let last = self.lines.values().take(messages).skip(progress.messages).last()?;
        // What the outcome alone says does not settle the outcome.
        let end = self.completed.as_ref().map_or(u64::MAX, |(sequence, _)| *sequence);
        let (source, through) = (last.source, last.source.min(end - 1));
        let at = progress.behind_last(self.at(messages));
        Some(Post {
            source,
            through,
            at,
            messages,
            body: Body::Messages,
            ids: self.ids.as_ref()?,
            story: self,
        })
    }

    fn end(&self, progress: &Progress) -> Option<Post<'_>> {
        let (source, event) = self.completed.as_ref()?;
        let (source, messages) = (*source, self.messages());
        let at = progress.behind_last(millis(event.finished_at).max(self.at(messages) + 1));
        let body = Body::Finished(event);
        Some(Post { source, through: source, at, messages, body, ids: &event.ids, story: self })
    }

    /// When the run was so far that it had this many messages. The platform ignores what is not later than what it has, and
    /// the workers of a run may have different clocks; so each time is behind the one before, and the same however often it
    /// is asked for.
    fn at(&self, messages: usize) -> i64 {
        let lines = self.lines.values().take(messages);
        lines.fold(millis(self.started_at()), |before, line| line.at.max(before + 1))
    }

    fn started_at(&self) -> OffsetDateTime {
        let started = self.started.as_ref().map(|(_, event)| event.started_at);
        let completed = self.completed.as_ref().map(|(_, event)| event.started_at);
        started.or(completed).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The first messages, each with at most `most` bytes of text, and as much of the rest.
    pub(super) fn wire_messages(&self, run: &str, messages: usize, most: usize) -> Vec<Message> {
        let message = |(index, line): (&u32, &Line)| Message {
            id: format!("{run}-{index}"),
            role: line.role,
            content: line.words.within(most),
            tool_calls: tool_calls(&line.calls, *index, most),
            trace_id: line.trace_id.clone(),
        };
        self.lines.iter().take(messages).map(message).collect()
    }
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / NANOS_PER_MILLI).unwrap_or_default()
}

#[cfg(test)]
mod tests;
