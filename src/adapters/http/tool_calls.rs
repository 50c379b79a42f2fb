//! The tools that an agent says it called.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::path::{ReplyPath, words};
use crate::events::ToolCall;

/// The most calls of one reply: an agent that lists more is not telling what it did.
const MOST_CALLS: usize = 256;

/// Where calls are in a reply, and in each event of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolCallsDefinition {
    /// The calls: a `JSONPath`.
    path: String,
    /// The tool's name, from the call.
    #[serde(default = "default_name")]
    name: String,
    /// The arguments, from the call: a value, or its JSON as a text.
    #[serde(default = "default_arguments")]
    arguments: String,
    /// The call's id, from the call.
    #[serde(default = "default_id")]
    id: String,
    /// Which call of a stream a piece belongs to, from the piece; where there is none, the id tells.
    #[serde(default = "default_index")]
    index: String,
}

fn default_name() -> String {
    "$.name".to_owned()
}

fn default_arguments() -> String {
    "$.arguments".to_owned()
}

fn default_id() -> String {
    "$.id".to_owned()
}

fn default_index() -> String {
    "$.index".to_owned()
}

/// Where calls are.
#[derive(Debug)]
pub(super) struct ToolCallRules {
    path: ReplyPath,
    name: ReplyPath,
    arguments: ReplyPath,
    id: ReplyPath,
    index: ReplyPath,
}

impl ToolCallRules {
    /// Reads what a definition says.
    pub(super) fn read(definition: &ToolCallsDefinition) -> Result<Self, String> {
        Ok(Self {
            path: ReplyPath::parse("toolCalls.path", &definition.path)?,
            name: ReplyPath::parse("toolCalls.name", &definition.name)?,
            arguments: ReplyPath::parse("toolCalls.arguments", &definition.arguments)?,
            id: ReplyPath::parse("toolCalls.id", &definition.id)?,
            index: ReplyPath::parse("toolCalls.index", &definition.index)?,
        })
    }
}

/// How pieces of calls become calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// Each is a whole call.
    Whole,
    /// Pieces of one call are put one behind the other.
    Append,
    /// A later piece of a call replaces what was there.
    Replace,
}

/// The calls of a reply so far.
#[derive(Debug)]
pub(super) struct ToolCalls<'a> {
    rules: Option<&'a ToolCallRules>,
    joining: Joining,
    calls: Vec<Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    key: Option<String>,
    id: String,
    name: String,
    /// Arguments as JSON text that may not be complete yet.
    text: String,
    /// Arguments as a value.
    value: Option<Value>,
}

impl<'a> ToolCalls<'a> {
    /// No calls yet; without rules there never are any.
    pub(super) fn new(rules: Option<&'a ToolCallRules>, joining: Joining) -> Self {
        Self { rules, joining, calls: Vec::new() }
    }

    /// Takes in what `reply`, or an event of a stream, says of calls.
    pub(super) fn take(&mut self, reply: &Value) -> Result<(), String> {
        let Some(rules) = self.rules else { return Ok(()) };
        for piece in rules.path.all(reply).into_iter().filter(|piece| !piece.is_null()) {
            self.add(rules.read_piece(piece));
        }
        if self.calls.len() > MOST_CALLS {
            return Err(format!("it lists more than {MOST_CALLS} tool calls"));
        }
        Ok(())
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// All of them, in the order in which they began.
    pub(super) fn finish(self) -> Result<Vec<ToolCall>, String> {
        let Some(rules) = self.rules else { return Ok(Vec::new()) };
        self.calls.into_iter().map(|call| call.finish(rules)).collect()
    }

    fn add(&mut self, piece: Partial) {
        match self.position(&piece) {
            Some(known) if self.joining == Joining::Append => self.calls[known].append(piece),
            Some(known) => self.calls[known] = piece,
            None => self.calls.push(piece),
        }
    }

    /// The call that `piece` belongs to. A piece that says nothing of itself goes on with the last one.
    fn position(&self, piece: &Partial) -> Option<usize> {
        match (self.joining, &piece.key) {
            (Joining::Whole, _) => None,
            (_, Some(_)) => self.calls.iter().position(|call| call.key == piece.key),
            (_, None) => self.calls.len().checked_sub(1).filter(|_| piece.name.is_empty()),
        }
    }
}

impl ToolCallRules {
    fn read_piece(&self, piece: &Value) -> Partial {
        let text = |path: &ReplyPath| path.first(piece).map(words).unwrap_or_default();
        let id = text(&self.id);
        let index = Some(text(&self.index)).filter(|index| !index.is_empty());
        let key = index.or_else(|| Some(id.clone()).filter(|id| !id.is_empty()));
        let mut call = Partial { key, id, name: text(&self.name), ..Partial::default() };
        match self.arguments.first(piece) {
            Some(Value::String(text)) => text.clone_into(&mut call.text),
            None | Some(Value::Null) => {}
            Some(value) => call.value = Some(value.clone()),
        }
        call
    }
}

impl Partial {
    fn append(&mut self, piece: Self) {
        if self.id.is_empty() {
            self.id = piece.id;
        }
        // Some agents repeat the name with every piece; none sends it in pieces.
        if self.name.is_empty() {
            self.name = piece.name;
        }
        self.text.push_str(&piece.text);
        self.value = piece.value.or(self.value.take());
    }

    /// Arguments that are no JSON stay the text that they are.
    fn finish(self, rules: &ToolCallRules) -> Result<ToolCall, String> {
        if self.name.is_empty() {
            return Err(format!("a tool call has no name: {} matches nothing in it", rules.name));
        }
        let arguments = match self.value {
            Some(value) => value,
            None if self.text.trim().is_empty() => Value::Object(Map::new()),
            None => serde_json::from_str(&self.text).unwrap_or(Value::String(self.text)),
        };
        Ok(ToolCall { id: self.id, name: self.name, arguments })
    }
}

#[cfg(test)]
mod tests;
