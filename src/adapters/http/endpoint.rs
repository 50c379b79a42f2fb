//! An HTTP agent whose definition was read and found to be usable.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Method};

use super::auth::Auth;
use super::definition::{HeaderDefinition, HttpDefinition};
use super::output::OutputPath;
use super::request::parse_url;
use crate::adapters::template::{Escape, Place, Template, UnknownSecret, Variables};
use crate::definitions::{AgentDefinition, FieldMappings, Secret, Secrets};
use crate::events::MAX_TIMEOUT_SECONDS;
use crate::execution::ports::OnUnknown;

/// Time for one reply where the definition says nothing, in seconds.
pub(super) const DEFAULT_TIMEOUT_SECONDS: u64 = 60;
/// The methods that make sense for asking an agent.
const METHODS: [Method; 5] = [Method::POST, Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
/// Headers that frame the message: a wrong one would let one request be read as two.
const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// An HTTP agent, ready to be asked.
pub(in crate::adapters) struct Endpoint {
    /// The method of its requests.
    pub(in crate::adapters) method: Method,
    /// Where it answers.
    pub(in crate::adapters) url: Template,
    /// The definition's headers, in order.
    pub(in crate::adapters) headers: Vec<(HeaderName, Template)>,
    /// How a request proves where it comes from.
    pub(super) auth: Auth,
    /// The body; `None` is the usual one.
    pub(in crate::adapters) body: Option<Template>,
    /// Variables of its templates, and what each stands for.
    pub(in crate::adapters) mappings: FieldMappings,
    /// Where its words are in a reply; `None` is everywhere.
    pub(in crate::adapters) output: Option<OutputPath>,
    /// Time for one reply.
    pub(in crate::adapters) timeout: Duration,
    /// What to do about a request whose end is unknown.
    pub(in crate::adapters) on_unknown: OnUnknown,
}

impl Endpoint {
    /// Reads a definition. An error names the agent and the place in it.
    pub(in crate::adapters) fn read(agent: &AgentDefinition) -> Result<Self, String> {
        HttpDefinition::read(agent)
            .and_then(|definition| Self::from_definition(&definition))
            .map_err(|problem| format!("HTTP agent {}: {problem}", agent.id))
    }

    /// Checks what was read.
    pub(in crate::adapters) fn from_definition(definition: &HttpDefinition) -> Result<Self, String> {
        Ok(Self {
            method: method(&definition.method)?,
            url: url(&definition.url)?,
            headers: definition.headers.iter().map(header).collect::<Result<_, _>>()?,
            auth: Auth::read(&definition.auth)?,
            body: written(definition.body_template.as_ref())
                .map(|source| template(Place::Body, source, body_escape(&definition.headers)))
                .transpose()?,
            mappings: definition.field_mappings.clone(),
            output: written(definition.output_path.as_ref()).map(OutputPath::parse).transpose()?,
            timeout: timeout(definition.timeout_seconds)?,
            on_unknown: definition.on_unknown.into(),
        })
    }

    /// Makes every `{{ secrets.NAME }}` of URL, headers and authentication stand for its value.
    pub(in crate::adapters) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        self.url.resolve_secrets(secrets)?;
        self.headers.iter_mut().try_for_each(|(_, value)| value.resolve_secrets(secrets))?;
        self.auth.resolve_secrets(secrets)
    }

    /// What no error may show, beside the project's secrets.
    pub(in crate::adapters) fn credentials(&self) -> Vec<Secret> {
        self.auth.credentials()
    }
}

/// A blank text is none.
fn written(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

fn template(place: Place, source: &str, escape: Escape) -> Result<Template, String> {
    Template::compile(place, source, escape).map_err(|error| error.to_string())
}

fn method(name: &str) -> Result<Method, String> {
    let known = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name.trim()));
    known.ok_or_else(|| format!("method: '{name}' is none of {}", METHODS.map(|m| m.to_string()).join(", ")))
}

/// A URL that is the same in every run is checked at once.
fn url(source: &str) -> Result<Template, String> {
    let url = template(Place::Url, source.trim(), Escape::UrlComponent)?;
    if url.is_constant() {
        let text = url.render(&Variables::none()).map_err(|error| error.to_string())?;
        parse_url(&text)?;
    }
    Ok(url)
}

fn header(definition: &HeaderDefinition) -> Result<(HeaderName, Template), String> {
    let key = definition.key.trim();
    let name = header_name(key).map_err(|error| format!("headers \"{key}\": {error}"))?;
    Ok((name, template(Place::Header(key.to_owned()), &definition.value, Escape::Text)?))
}

/// A header's name that a definition may use.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text.trim()).map_err(|_| format!("'{text}' is no header name"))?;
    if FRAMING.contains(&name) {
        return Err(format!("'{name}' is set by the HTTP client and cannot be set by a definition"));
    }
    Ok(name)
}

/// The body is written as what the definition declares it to be, JSON where it declares nothing.
fn body_escape(headers: &[HeaderDefinition]) -> Escape {
    let declared =
        headers.iter().find(|header| header.key.trim().eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
    let declared = declared.map(|header| header.value.to_ascii_lowercase());
    match declared.as_deref() {
        Some(form) if form.contains("x-www-form-urlencoded") => Escape::UrlComponent,
        Some(other) if !other.contains("json") => Escape::Text,
        _ => Escape::Json,
    }
}

fn timeout(seconds: Option<u64>) -> Result<Duration, String> {
    let seconds = seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
    if (1..=MAX_TIMEOUT_SECONDS).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("timeoutSeconds: {seconds} is not 1 to {MAX_TIMEOUT_SECONDS}"))
}
