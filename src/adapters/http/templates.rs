//! What one request of an HTTP agent is made of: templates, read and found to be usable.

use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderName, Method};
use url::Url;

use super::definition::PairDefinition;
use super::endpoint::written;
use crate::adapters::template::{Escape, Place, Template, UnknownSecret, Variables};
use crate::definitions::Secrets;
use crate::egress::Redirects;

/// The methods that make sense for asking an agent.
const METHODS: [Method; 5] = [Method::POST, Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
/// Headers that frame the message: a wrong one would let one request be read as two.
const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
/// Headers that say nothing of who calls: they go along wherever a redirect leads.
const HARMLESS: [HeaderName; 3] = [ACCEPT, CONTENT_TYPE, USER_AGENT];

/// A request as a definition has it.
pub(super) struct RequestParts<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) query: &'a [PairDefinition],
    pub(super) headers: &'a [PairDefinition],
    pub(super) body: Option<&'a String>,
    pub(super) secrets_in_body: bool,
}

/// The templates of one request.
pub(super) struct RequestTemplates {
    /// Its method.
    pub(super) method: Method,
    /// Where it goes.
    pub(super) url: Template,
    /// What is added to the query: each name and value becomes one component.
    pub(super) query: Vec<(String, Template)>,
    /// The definition's headers, in order.
    pub(super) headers: Vec<(HeaderName, Template)>,
    /// The body, if the definition has one.
    pub(super) body: Option<Template>,
    secrets_in_body: bool,
}

impl RequestTemplates {
    /// Reads a request. `at` names it in errors, unless it is the agent's usual one.
    pub(super) fn read(parts: &RequestParts<'_>, at: Option<&'static str>) -> Result<Self, String> {
        let reader = Reader { at };
        let body = written(parts.body)
            .map(|source| reader.template(Place::Body, source, body_escape(parts.headers)))
            .transpose()?;
        Ok(Self {
            method: method(parts.method).map_err(|error| reader.prefixed(&error))?,
            url: reader.url(parts.url)?,
            query: parts.query.iter().map(|pair| reader.parameter(pair)).collect::<Result<_, _>>()?,
            headers: parts.headers.iter().map(|pair| reader.header(pair)).collect::<Result<_, _>>()?,
            body,
            secrets_in_body: parts.secrets_in_body,
        })
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value; in the body only if the definition says so.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        self.url.resolve_secrets(secrets)?;
        self.query.iter_mut().try_for_each(|(_, value)| value.resolve_secrets(secrets))?;
        self.headers.iter_mut().try_for_each(|(_, value)| value.resolve_secrets(secrets))?;
        match &mut self.body {
            Some(body) if self.secrets_in_body => body.resolve_secrets(secrets),
            _ => Ok(()),
        }
    }

    /// What is done about an answer that leads elsewhere: a body with secrets in it does not leave its origin.
    pub(super) fn redirects(&self) -> Redirects {
        let holds_secrets = self.secrets_in_body && self.body.as_ref().is_some_and(Template::names_secrets);
        if holds_secrets { Redirects::FollowWithinOrigin } else { Redirects::Follow }
    }

    /// The URL of every run, if it is the same in all of them.
    pub(super) fn constant_url(&self) -> Option<Url> {
        let text = self.url.reads_nothing().then(|| self.url.render(&Variables::none()).ok()).flatten()?;
        parse_url(self.url.place(), &text).ok()
    }
}

/// A header that nobody but the agent's own origin may see. Which of its own names hold credentials only the definition's
/// author knows.
pub(super) fn is_private(name: &HeaderName) -> bool {
    !HARMLESS.contains(name)
}

/// Reads the parts of one request.
struct Reader {
    at: Option<&'static str>,
}

impl Reader {
    fn template(&self, place: Place, source: &str, escape: Escape) -> Result<Template, String> {
        let place = match self.at {
            Some(request) => Place::In(request, Box::new(place)),
            None => place,
        };
        Template::compile(place, source, escape).map_err(|error| error.to_string())
    }

    fn prefixed(&self, error: &str) -> String {
        self.at.map_or_else(|| error.to_owned(), |at| format!("{at}.{error}"))
    }

    /// A URL that is the same in every run is checked at once.
    fn url(&self, source: &str) -> Result<Template, String> {
        let url = self.template(Place::Url, source.trim(), Escape::UrlComponent)?;
        if url.is_constant() {
            let text = url.render(&Variables::none()).map_err(|error| error.to_string())?;
            parse_url(url.place(), &text)?;
        }
        Ok(url)
    }

    fn parameter(&self, pair: &PairDefinition) -> Result<(String, Template), String> {
        if pair.key.is_empty() {
            return Err(self.prefixed("query: a parameter has no key"));
        }
        // What it comes to is escaped as a whole, so that the definition's own words are, too.
        let value = self.template(Place::Query(pair.key.clone()), &pair.value, Escape::Text)?;
        Ok((pair.key.clone(), value))
    }

    fn header(&self, pair: &PairDefinition) -> Result<(HeaderName, Template), String> {
        let key = pair.key.trim();
        let name = header_name(key).map_err(|error| self.prefixed(&format!("headers \"{key}\": {error}")))?;
        Ok((name, self.template(Place::Header(key.to_owned()), &pair.value, Escape::Text)?))
    }
}

fn method(name: &str) -> Result<Method, String> {
    let known = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name.trim()));
    known.ok_or_else(|| format!("method: '{name}' is none of {}", METHODS.map(|m| m.to_string()).join(", ")))
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
fn body_escape(headers: &[PairDefinition]) -> Escape {
    let declared =
        headers.iter().find(|header| header.key.trim().eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
    let declared = declared.map(|header| header.value.to_ascii_lowercase());
    match declared.as_deref() {
        Some(form) if form.contains("x-www-form-urlencoded") => Escape::UrlComponent,
        Some(other) if !other.contains("json") => Escape::Text,
        _ => Escape::Json,
    }
}

/// A URL that can be requested.
pub(super) fn parse_url(place: &Place, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{place}: it is not valid: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{place}: its scheme is '{}'; only http and https are called", url.scheme()));
    }
    Ok(url)
}
