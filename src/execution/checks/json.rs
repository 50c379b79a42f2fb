//! Rules of replies that are JSON.

use jsonschema::Validator;
use regex::Regex;
use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use super::reply::{Seen, compiled};
use super::{Finding, shown};
use crate::definitions::{self, PathTest};

/// The longest reply that is read as JSON, in bytes: an agent may say more, and each look at it takes its time.
const MAX_JSON_BYTES: usize = 1 << 20;

/// What has to hold at a place, ready to look.
pub(super) struct At<'c> {
    test: &'c PathTest,
    path: &'c JsonPath,
    pattern: Option<&'c Regex>,
}

impl<'c> At<'c> {
    /// Of a test whose path and pattern are valid.
    pub(super) fn new(test: &'c PathTest) -> Result<Self, Finding> {
        let path = test.path.get();
        let path = path.map_err(|reason| Finding::invalid("path", test.path.source(), reason))?;
        Ok(Self { test, path, pattern: test.matches.as_ref().map(compiled).transpose()? })
    }

    /// Looks at a reply.
    pub(super) fn look<'r>(&self, reply: &'r str) -> Seen<'r> {
        read(reply).map_or_else(|no_json| no_json, |json| self.look_in(&json))
    }

    fn look_in<'r>(&self, json: &Value) -> Seen<'r> {
        let values = self.path.query(json).all();
        let wanted = values.iter().find(|value| self.suits(value));
        let says = match wanted.or(values.first()) {
            Some(value) => format!("has {} at {}", shown(&value.to_string()), self.place()),
            None => format!("has nothing at {}", self.place()),
        };
        let asked_to_exist = self.test.exists != Some(false);
        let holds = if asked_to_exist { wanted.is_some() } else { values.is_empty() };
        let says = if holds { says } else { format!("{says}, not {}", self.wish()) };
        Seen { holds, says, passage: None }
    }

    fn suits(&self, value: &Value) -> bool {
        let matches = |pattern: &Regex| match value {
            Value::String(text) => pattern.is_match(text),
            other => pattern.is_match(&other.to_string()),
        };
        self.test.equals.as_ref().is_none_or(|wanted| same(wanted, value)) && self.pattern.is_none_or(matches)
    }

    fn place(&self) -> String {
        shown(self.test.path.source())
    }

    fn wish(&self) -> String {
        let equals = self.test.equals.as_ref().map(|value| shown(&value.to_string()));
        let matches = self.test.matches.as_ref();
        let matches = matches.map(|pattern| format!("what matches /{}/", shown(pattern.source())));
        match (equals, matches) {
            (Some(equals), Some(matches)) => format!("{equals} and {matches}"),
            (equals, matches) => equals.or(matches).unwrap_or_else(|| {
                if self.test.exists == Some(false) { "nothing" } else { "something" }.to_owned()
            }),
        }
    }
}

/// A schema, ready to look.
pub(super) struct Schema<'c>(&'c Validator);

impl<'c> Schema<'c> {
    /// Of a schema that is valid.
    pub(super) fn new(schema: &'c definitions::Schema) -> Result<Self, Finding> {
        let invalid = |reason: &str| Finding::invalid("schema", &schema.source().to_string(), reason);
        schema.get().map(Self).map_err(invalid)
    }

    /// Looks at a reply.
    pub(super) fn look<'r>(&self, reply: &'r str) -> Seen<'r> {
        read(reply).map_or_else(|no_json| no_json, |json| self.look_in(&json))
    }

    fn look_in<'r>(&self, json: &Value) -> Seen<'r> {
        let Err(error) = self.0.validate(json) else {
            return Seen { holds: true, says: "is JSON of the schema".to_owned(), passage: None };
        };
        let place = error.instance_path().as_str();
        let place = if place.is_empty() { String::new() } else { format!(" at {}", shown(place)) };
        let says = format!("is not JSON of the schema{place}: {}", shown(&error.to_string()));
        Seen { holds: false, says, passage: None }
    }
}

/// The JSON that a reply is, or what it shows instead.
fn read(reply: &str) -> Result<Value, Seen<'static>> {
    let unread = |says| Seen { holds: false, says, passage: None };
    if reply.len() > MAX_JSON_BYTES {
        let bytes = reply.len();
        return Err(unread(format!("has {bytes} bytes; it is read as JSON up to {MAX_JSON_BYTES}")));
    }
    serde_json::from_str(reply)
        .map_err(|error| unread(format!("is not JSON ({}): “{}”", shown(&error.to_string()), shown(reply))))
}

/// Whether both are the same JSON: 1 and 1.0 are one number, and the order of keys says nothing.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let found =
                |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(found)
        }
        (one, other) => one == other,
    }
}

/// Whether `given` has everything that `wanted` has, objects in it as well; lists have to be of the same length.
pub(super) fn has(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Object(given), Value::Object(wanted)) => has_all(given, wanted),
        (Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len() && given.iter().zip(wanted).all(|(given, wanted)| has(given, wanted))
        }
        (given, wanted) => same(given, wanted),
    }
}

fn has_all(given: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, wanted)| given.get(key).is_some_and(|given| has(given, wanted)))
}
