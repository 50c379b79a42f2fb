//! Which of the messages that arrive are the answer, and which ends it.

use serde_json::Value;

use super::{DoneDefinition, Format, WebSocketDefinition};
use crate::adapters::http::line::Call;
use crate::adapters::http::path::{ReplyPath, words};
use crate::execution::failure::RunFailure;

/// What is made of messages.
pub(super) struct Rules {
    format: Format,
    output: Option<ReplyPath>,
    error: Option<ReplyPath>,
    done: Done,
}

/// What ends an answer.
enum Done {
    /// The first message with words in it.
    FirstWords,
    Path(ReplyPath, Option<Value>),
    Text(String),
    Closed,
}

impl Done {
    fn read(definition: DoneDefinition) -> Result<Self, String> {
        let DoneDefinition { path: source, equals, text, closed } = definition;
        match (source, equals, text, closed) {
            (Some(source), equals, None, false) => {
                Ok(Self::Path(ReplyPath::parse("done.path", &source)?, equals))
            }
            (None, None, Some(text), false) => Ok(Self::Text(text)),
            (None, None, None, true) => Ok(Self::Closed),
            _ => Err("done: it is exactly one of path (with equals or not), text, closed: true".to_owned()),
        }
    }
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) words: String,
    /// Bytes of all messages.
    taken: usize,
}

impl Rules {
    pub(super) fn read(definition: WebSocketDefinition) -> Result<Self, String> {
        let done = definition.done.map(Done::read).transpose()?.unwrap_or(Done::FirstWords);
        let output = ReplyPath::parse_written("outputPath", definition.output_path.as_ref())?;
        let error = ReplyPath::parse_written("errorPath", definition.error_path.as_ref())?;
        Ok(Self { format: definition.format, output, error, done })
    }

    /// Whether the answer ends where the connection does.
    pub(super) fn end_is_closing(&self) -> bool {
        matches!(self.done, Done::Closed)
    }

    /// Takes in a message, and says whether it ends the answer.
    pub(super) fn take(&self, call: &Call<'_>, message: &str, heard: &mut Heard) -> Result<bool, RunFailure> {
        heard.taken += message.len();
        if heard.taken > call.most_bytes() {
            return Err(call.too_large());
        }
        if matches!(&self.done, Done::Text(text) if text == message) {
            return Ok(true);
        }
        let value = self.value(call, message)?;
        self.no_error(call, &value)?;
        let ends = matches!(&self.done, Done::Path(path, wanted) if is_at(path, wanted.as_ref(), &value));
        let said = self.words_of(&value, ends);
        heard.words.push_str(&said);
        Ok(ends || (matches!(self.done, Done::FirstWords) && !said.trim().is_empty()))
    }

    /// Takes in a message that answers nobody. It may say that the agent failed.
    pub(super) fn pass_over(&self, call: &Call<'_>, message: &str) -> Result<(), RunFailure> {
        serde_json::from_str(message).map_or(Ok(()), |value| self.no_error(call, &value))
    }

    fn no_error(&self, call: &Call<'_>, value: &Value) -> Result<(), RunFailure> {
        let error = self.error.as_ref().and_then(|path| path.first(value));
        match error.filter(|error| !error.is_null()) {
            Some(error) => Err(call.agent_error(&words(error))),
            None => Ok(()),
        }
    }

    /// Whatever ends an answer is no part of it, unless it is said where its words are.
    fn words_of(&self, value: &Value, ends: bool) -> String {
        let found = match &self.output {
            Some(path) => path.first(value),
            None => Some(value).filter(|_| !ends),
        };
        found.map(words).unwrap_or_default()
    }

    fn value(&self, call: &Call<'_>, message: &str) -> Result<Value, RunFailure> {
        let has_paths = self.output.is_some() || self.error.is_some() || matches!(self.done, Done::Path(..));
        if self.format == Format::Text && !has_paths {
            return Ok(Value::String(message.to_owned()));
        }
        serde_json::from_str(message)
            .map_err(|error| call.invalid(&format!("a message is not JSON ({error}): {message}")))
    }
}

fn is_at(path: &ReplyPath, wanted: Option<&Value>, value: &Value) -> bool {
    path.first(value).is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
}
