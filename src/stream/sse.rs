//! Server-sent events, as the WHATWG HTML standard has them (section "Server-sent events").

use super::StreamError;
use super::lines::{LineEnd, Lines};

/// The name of an event that has none of its own.
pub const DEFAULT_EVENT_NAME: &str = "message";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name, [`DEFAULT_EVENT_NAME`] where the stream gives none.
    pub name: String,
    /// Its data; several `data` lines are joined by line feeds.
    pub data: String,
}

/// Reads a stream of events. Ids and reconnection times are left out: nobody reconnects to a reply.
#[derive(Debug)]
pub struct SseDecoder {
    lines: Lines,
    pending: Pending,
}

impl SseDecoder {
    /// A decoder that takes in events of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let pending = Pending { limit, ..Pending::default() };
        Self { lines: Lines::new(LineEnd::Any, limit), pending }
    }

    /// Adds to `events` each one that `bytes` completes. What no empty line has ended when the stream ends is no event.
    ///
    /// # Errors
    /// [`StreamError::TooLarge`]; the events before it have been added, and nothing can be read after it.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), StreamError> {
        let Self { lines, pending } = self;
        lines.push(bytes, |line| {
            events.extend(pending.take_line(line)?);
            Ok(())
        })
    }
}

/// The event that is under way.
#[derive(Debug, Default)]
struct Pending {
    /// The most bytes of its name and data.
    limit: usize,
    begun: bool,
    name: String,
    data: Option<String>,
}

impl Pending {
    /// The event that `line` ends, if it ends one.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, StreamError> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        let line = if is_first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        self.take_field(field, value.strip_prefix(' ').unwrap_or(value))?;
        Ok(None)
    }

    /// A comment is a field without a name, and like every unknown field it says nothing.
    fn take_field(&mut self, field: &str, value: &str) -> Result<(), StreamError> {
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        let size = self.name.len() + self.data.as_ref().map_or(0, String::len);
        if size > self.limit { Err(StreamError::TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        let name = if name.is_empty() { DEFAULT_EVENT_NAME.to_owned() } else { name };
        Some(SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests;
