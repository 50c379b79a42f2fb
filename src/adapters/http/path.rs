//! Where something is in an agent's reply.

use std::borrow::Cow;

use serde_json::Value;
use serde_json_path::JsonPath;

/// The most `..` of a path: each more multiplies the matches by the depth of a reply that the agent chooses.
const MAX_DESCENTS: usize = 1;
/// The most `,` of a path: each can double the matches.
const MAX_ALTERNATIVES: usize = 4;

/// A `JSONPath` (RFC 9535) of a definition.
#[derive(Debug)]
pub(in crate::adapters) struct ReplyPath {
    field: Cow<'static, str>,
    source: String,
    path: JsonPath,
}

impl ReplyPath {
    /// Reads a path that does not blow up. `field` is where it stands in the definition.
    pub(in crate::adapters) fn parse(
        field: impl Into<Cow<'static, str>>,
        source: &str,
    ) -> Result<Self, String> {
        let (field, source) = (field.into(), source.trim().to_owned());
        let path = JsonPath::parse(&source)
            .map_err(|error| format!("{field}: '{source}' is no JSONPath (RFC 9535): {error}"))?;
        if source.matches("..").count() > MAX_DESCENTS || source.matches(',').count() > MAX_ALTERNATIVES {
            return Err(format!(
                "{field}: '{source}' is too costly; at most {MAX_DESCENTS} `..` and {MAX_ALTERNATIVES} `,` can be used"
            ));
        }
        Ok(Self { field, source, path })
    }

    /// As [`ReplyPath::parse`], where a blank path is none.
    pub(in crate::adapters) fn parse_written(
        field: &'static str,
        source: Option<&String>,
    ) -> Result<Option<Self>, String> {
        let written = source.filter(|source| !source.trim().is_empty());
        written.map(|source| Self::parse(field, source)).transpose()
    }

    /// The path as it is written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The first value that it matches.
    pub(in crate::adapters) fn first<'a>(&self, reply: &'a Value) -> Option<&'a Value> {
        self.path.query(reply).first()
    }

    /// Every value that it matches, in order.
    pub(super) fn all<'a>(&self, reply: &'a Value) -> Vec<&'a Value> {
        self.path.query(reply).all()
    }
}

/// The field and the path as they are written.
impl std::fmt::Display for ReplyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}'", self.field, self.source)
    }
}

/// A text as it is; nothing for `null`; anything else as JSON.
pub(in crate::adapters) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a value says something: not `null`, `false`, or empty.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}
