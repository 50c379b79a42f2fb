//! What is wrong with a template, and where.

use std::fmt;

use minijinja::ErrorKind;

/// Where in a definition a template stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An agent's URL.
    Url,
    /// The value of an agent's header.
    Header(String),
    /// The value of a parameter of an agent's query.
    Query(String),
    /// A place in a request that is not the agent's usual one.
    In(&'static str, Box<Place>),
    /// A field of an agent's authentication.
    Auth(&'static str),
    /// A field of an agent's certificates.
    Tls(&'static str),
    /// An agent's body.
    Body,
    /// Where an agent's answer is looked for that comes later.
    PollUrl,
    /// Another field of an agent's definition.
    Field(String),
    /// A prompt's instructions.
    SystemPrompt,
    /// A prompt's own message, from 0.
    PromptMessage(usize),
}

impl Place {
    /// Whether it is a URL, of whichever request.
    pub(super) fn is_url(&self) -> bool {
        match self {
            Self::Url | Self::PollUrl => true,
            Self::In(_, place) => place.is_url(),
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("url"),
            Self::Header(key) => write!(f, "headers \"{key}\""),
            Self::Query(key) => write!(f, "query \"{key}\""),
            Self::In(request, place) => write!(f, "{request}.{place}"),
            Self::Auth(field) => write!(f, "auth.{field}"),
            Self::Tls(field) => write!(f, "tls.{field}"),
            Self::Body => f.write_str("bodyTemplate"),
            Self::PollUrl => f.write_str("poll.url"),
            Self::Field(path) => f.write_str(path),
            Self::SystemPrompt => f.write_str("systemPrompt"),
            Self::PromptMessage(index) => write!(f, "messages[{index}]"),
        }
    }
}

/// A template that cannot be read or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template in {place}{} cannot be used: {cause}", of_line(*.line))]
pub(crate) struct TemplateError {
    place: Place,
    line: Option<usize>,
    cause: String,
}

fn of_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line},")).unwrap_or_default()
}

impl TemplateError {
    /// A rule of this program that the template breaks.
    pub(super) fn new(place: &Place, cause: impl Into<String>) -> Self {
        Self { place: place.clone(), line: None, cause: cause.into() }
    }

    /// What is wrong, without the place.
    pub(super) fn cause(&self) -> String {
        format!("{}{}", self.line.map(|line| format!("line {line}: ")).unwrap_or_default(), self.cause)
    }

    /// What the template engine reports.
    pub(super) fn engine(place: &Place, error: &minijinja::Error) -> Self {
        Self { place: place.clone(), line: error.line(), cause: cause_of(error) }
    }
}

/// What the template engine reports, without the place.
pub(super) fn cause_of(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too much work to render".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// A secret that the project does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret '{name}' that {place} names is not in the project")]
pub(crate) struct UnknownSecret {
    /// Where it is named.
    pub(crate) place: Place,
    /// Its name.
    pub(crate) name: String,
}
