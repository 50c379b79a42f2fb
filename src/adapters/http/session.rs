//! Sessions: what is asked before the first turn and after the last one, and what is kept in between.

use std::collections::BTreeMap;

use http::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cookies::{self, Cookies};
use super::definition::{CaptureDefinition, CaptureSource, SessionDefinition, StepDefinition};
use super::path::ReplyPath;
use super::templates::{RequestParts, RequestTemplates};
use super::transport::Received;
use crate::adapters::codes;
use crate::adapters::template::UnknownSecret;
use crate::definitions::Secrets;
use crate::events::Attribution;
use crate::execution::failure::RunFailure;
use crate::execution::types::Session;
use crate::scrub::SHORTEST_IN_ANSWERS;

/// Where the first request stands in a definition.
const START: &str = "session.start";
/// Where the last one does.
const END: &str = "session.end";
/// The longest value that is captured, in bytes of JSON: it is stored with every step of the run.
const LONGEST_VALUE: usize = 8 * 1024;
/// The most values that are captured.
const MOST_VALUES: usize = 20;

/// What a definition says of sessions.
pub(super) struct SessionPlan {
    /// The request before the first turn.
    pub(super) start: Option<RequestTemplates>,
    /// The request after the last one.
    pub(super) end: Option<RequestTemplates>,
    captures: Vec<(String, Capture)>,
    cookies: bool,
}

/// Where something is that is to be remembered.
enum Capture {
    Path(ReplyPath),
    Header(HeaderName),
    Cookie(String),
}

impl SessionPlan {
    /// Reads what a definition says.
    pub(super) fn read(definition: &SessionDefinition, secrets_in_body: bool) -> Result<Self, String> {
        let step = |step: &Option<StepDefinition>, at| {
            step.as_ref()
                .map(|step| RequestTemplates::read(&step.parts(secrets_in_body), Some(at)))
                .transpose()
        };
        if definition.end.as_ref().is_some_and(|end| !end.capture.is_empty()) {
            return Err(format!("{END}.capture: nothing comes after the end that could read it"));
        }
        let captures = definition.start.as_ref().map(|start| captures(&start.capture)).transpose()?;
        Ok(Self {
            start: step(&definition.start, START)?,
            end: step(&definition.end, END)?,
            captures: captures.unwrap_or_default(),
            cookies: definition.cookies,
        })
    }

    /// Makes every `{{ secrets.NAME }}` that may be one stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        let mut steps = self.start.iter_mut().chain(&mut self.end);
        steps.try_for_each(|step| step.resolve_secrets(secrets))
    }

    /// Whether cookies are kept.
    pub(super) fn keeps_cookies(&self) -> bool {
        self.cookies
    }

    /// The names of what is to be remembered.
    pub(super) fn captured_names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|(name, _)| name.as_str())
    }

    /// Takes what is to be remembered out of the reply to the first request.
    pub(super) fn capture(&self, reply: &Received) -> Result<Map<String, Value>, RunFailure> {
        let body = serde_json::from_slice(&reply.body).unwrap_or_default();
        let values = self.captures.iter().map(|(name, capture)| {
            let value = capture.value(reply, &body).ok_or_else(|| {
                not_there(name, &format!("{capture} is not in the reply of {}", reply.place))
            })?;
            if value.to_string().len() > LONGEST_VALUE {
                return Err(not_there(name, &format!("{capture} is longer than {LONGEST_VALUE} bytes")));
            }
            Ok((name.clone(), value))
        });
        values.collect()
    }
}

impl StepDefinition {
    fn parts(&self, secrets_in_body: bool) -> RequestParts<'_> {
        let Self { url, method, headers, query, body, .. } = self;
        RequestParts { method, url, query, headers, body: body.as_ref(), secrets_in_body }
    }
}

fn captures(definitions: &BTreeMap<String, CaptureDefinition>) -> Result<Vec<(String, Capture)>, String> {
    if definitions.len() > MOST_VALUES {
        return Err(format!("{START}.capture: at most {MOST_VALUES} values are captured"));
    }
    let read = |(name, definition): (&String, &CaptureDefinition)| {
        let at = format!("{START}.capture.{name}");
        if !is_name(name) {
            return Err(format!("{at}: '{name}' is no name that a template can read"));
        }
        Ok((name.clone(), Capture::read(&at, definition)?))
    };
    definitions.iter().map(read).collect()
}

/// What `{{ captured.NAME }}` can hold.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(is_part) && text.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

fn not_there(name: &str, why: &str) -> RunFailure {
    let message = format!("{START}.capture.{name}: {why}");
    RunFailure::new(codes::SESSION_CAPTURE_FAILED, Attribution::Target, message)
        .with_hint("Correct the capture in the agent's definition, or what the agent answers")
}

impl Capture {
    fn read(at: &str, definition: &CaptureDefinition) -> Result<Self, String> {
        match definition {
            CaptureDefinition::Path(path) => ReplyPath::parse(at.to_owned(), path).map(Self::Path),
            CaptureDefinition::From(CaptureSource::Header(name)) => {
                let name = HeaderName::try_from(name.trim());
                name.map(Self::Header).map_err(|_| format!("{at}: it is no header name"))
            }
            CaptureDefinition::From(CaptureSource::Cookie(name)) => Ok(Self::Cookie(name.trim().to_owned())),
        }
    }

    fn value(&self, reply: &Received, body: &Value) -> Option<Value> {
        match self {
            Self::Path(path) => path.first(body).filter(|value| !value.is_null()).cloned(),
            Self::Header(name) => reply.headers.get(name)?.to_str().ok().map(Value::from),
            Self::Cookie(name) => {
                let set = |headers| cookies::value_of(headers, name).map(Value::from);
                set(&reply.headers).or_else(|| set(&reply.set))
            }
        }
    }
}

impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "'{}'", path.source()),
            Self::Header(name) => write!(f, "the header '{name}'"),
            Self::Cookie(name) => write!(f, "the cookie '{name}'"),
        }
    }
}

/// What is kept of a run's session. It has no `Debug`: whoever has it can speak for the run.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What was captured, by name.
    #[serde(default)]
    pub(super) captured: Map<String, Value>,
    /// The cookies.
    #[serde(default)]
    pub(super) cookies: Cookies,
}

impl Kept {
    /// Reads what the run has stored, if it has stored anything.
    pub(super) fn of(session: Option<&Session>) -> Result<Self, RunFailure> {
        let Some(session) = session else { return Ok(Self::default()) };
        // What is wrong with it is not repeated, for it may be a credential.
        serde_json::from_value(session.expose().clone()).map_err(|_| {
            let message = "What is stored of the agent's session cannot be read";
            RunFailure::new(codes::SESSION_UNREADABLE, Attribution::Worker, message)
        })
    }

    /// As the run stores it.
    pub(super) fn to_session(&self) -> Session {
        // A map of texts is JSON; it cannot fail.
        Session::new(serde_json::to_value(self).unwrap_or_default())
    }

    /// What no error and no event may show. Short values stay: they occur in what people say.
    pub(super) fn credentials(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.cookies.values().map(str::to_owned).collect();
        self.captured.values().for_each(|value| collect_texts(value, &mut texts));
        texts.retain(|text| text.len() >= SHORTEST_IN_ANSWERS);
        texts
    }
}

/// Every text and every number of `value`.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(map) => map.values().for_each(|value| collect_texts(value, texts)),
        Value::Null | Value::Bool(_) => {}
    }
}
