//! Filling one request in.

use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use url::{Origin, Url};

use super::templates::{RequestTemplates, is_private, parse_url};
use crate::adapters::codes;
use crate::adapters::template::{Place, Template, TemplateError, Variables, last_line, url_component};
use crate::definitions::Secret;
use crate::egress::Redirects;
use crate::events::{Attribution, HEADER_BAGGAGE, TraceContext};
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetTurn;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static(HEADER_BAGGAGE);
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that only has to be sent.
#[derive(Clone)]
pub(in crate::adapters) struct Outgoing {
    pub(in crate::adapters) method: Method,
    pub(in crate::adapters) url: Url,
    pub(in crate::adapters) headers: HeaderMap,
    pub(in crate::adapters) body: Option<String>,
    /// The origin of the definition, for which its certificates are, wherever the agent wants to be called.
    pub(super) home: Origin,
    /// Whether it may be sent once more where it is not known whether it arrived.
    pub(super) repeatable: bool,
    /// Whether it goes where whoever gave the token wants it to be shown.
    pub(super) takes_token: bool,
    /// What is done about an answer that leads elsewhere.
    pub(super) redirects: Redirects,
}

/// What a request is filled in with.
pub(super) struct Filling {
    /// Variables of its templates.
    pub(super) variables: Variables,
    /// The trace that the agent may continue.
    pub(super) trace: Option<TraceContext>,
    /// What the agent is told of the run beside its trace.
    pub(super) baggage: Option<String>,
    /// Stays the same whenever the step is repeated, so that an agent can tell a repetition from a second question.
    pub(super) idempotency_key: String,
    /// The body where the definition has none.
    pub(super) usual_body: Option<String>,
    /// Whether whoever is asked may be asked once more under the same key.
    pub(super) repeatable: bool,
    /// The header that proves who calls.
    pub(super) proof: Option<(HeaderName, Secret)>,
}

impl Filling {
    /// Fills the templates in.
    pub(super) fn build(&self, templates: &RequestTemplates) -> Result<Outgoing, RunFailure> {
        let url = url(templates, &self.variables)?;
        let body = match (&templates.method, &templates.body) {
            (&Method::GET, _) => None,
            (_, Some(template)) => Some(render(template, &self.variables)?),
            (_, None) => self.usual_body.clone(),
        };
        Ok(Outgoing {
            method: templates.method.clone(),
            home: url.origin(),
            url,
            headers: self.headers(templates, body.is_some())?,
            body,
            repeatable: self.repeatable,
            takes_token: true,
            redirects: templates.redirects(),
        })
    }

    /// The definition's headers, and those that every request has.
    fn headers(&self, templates: &RequestTemplates, has_body: bool) -> Result<HeaderMap, RunFailure> {
        let mut headers = self.own_headers(templates)?;
        if has_body && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, JSON);
        }
        propagate(self.trace.as_ref(), &mut headers)?;
        tell(self.baggage.as_deref(), &mut headers)?;
        identify(&self.idempotency_key, &mut headers)?;
        Ok(headers)
    }

    /// The definition's headers; authentication wins over a header of the same name. Where a redirect leads to another
    /// origin they stay behind.
    fn own_headers(&self, templates: &RequestTemplates) -> Result<HeaderMap, RunFailure> {
        let mut headers = HeaderMap::new();
        for (name, template) in &templates.headers {
            let mut value = header_value(template.place(), &render(template, &self.variables)?)?;
            value.set_sensitive(is_private(name));
            headers.append(name, value);
        }
        if let Some(proof) = &self.proof {
            prove(proof, &mut headers)?;
        }
        Ok(headers)
    }
}

impl Outgoing {
    /// With a header that proves who calls.
    pub(super) fn proved_by(mut self, proof: &(HeaderName, Secret)) -> Result<Self, RunFailure> {
        prove(proof, &mut self.headers)?;
        Ok(self)
    }

    /// With the session's cookies behind those that the definition has.
    pub(super) fn with_cookies(mut self, cookies: &str) -> Result<Self, RunFailure> {
        let own = self.headers.get(COOKIE).and_then(|own| own.to_str().ok()).map(|own| format!("{own}; "));
        let all = format!("{}{cookies}", own.unwrap_or_default());
        let mut value = header_value(&Place::Header("Cookie, from the session".to_owned()), &all)?;
        value.set_sensitive(true);
        self.headers.insert(COOKIE, value);
        Ok(self)
    }
}

fn prove((name, value): &(HeaderName, Secret), headers: &mut HeaderMap) -> Result<(), RunFailure> {
    let mut value = header_value(&Place::Header(format!("{name}, from auth")), value.expose())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// A segment of dots cannot be escaped, and would lead out of where the definition points.
fn url(templates: &RequestTemplates, variables: &Variables) -> Result<Url, RunFailure> {
    let template = &templates.url;
    let text = render(template, variables)?;
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if !template.is_constant() && path.split(['/', '\\']).any(is_dots) {
        return Err(unusable(format!("the value of {} has a path segment of dots only", template.place())));
    }
    let mut url = parse_url(template.place(), &text).map_err(unusable)?;
    add_parameters(templates, variables, &mut url)?;
    Ok(url)
}

/// Whatever a value holds, it is one value of one parameter.
fn add_parameters(
    templates: &RequestTemplates,
    variables: &Variables,
    url: &mut Url,
) -> Result<(), RunFailure> {
    if templates.query.is_empty() {
        return Ok(());
    }
    let written = url.query().filter(|query| !query.is_empty()).map(str::to_owned);
    let mut parts: Vec<String> = written.into_iter().collect();
    for (name, template) in &templates.query {
        let value = render(template, variables)?;
        parts.push(format!("{}={}", url_component(name), url_component(&value)));
    }
    url.set_query(Some(&parts.join("&")));
    Ok(())
}

/// As WHATWG URL reads them, percent-encoded or not.
pub(super) fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// The body of a turn where the definition has none: the conversation.
pub(super) fn usual_body(turn: &TargetTurn<'_>) -> String {
    let message = |m: &crate::execution::types::Message| json!({ "role": m.role, "content": m.content });
    let messages: Vec<Value> = turn.transcript.iter().map(message).collect();
    json!({ "messages": messages, "threadId": turn.run.run, "input": last_line(turn) }).to_string()
}

/// Lets the agent continue the run's trace, unless the definition has a `traceparent` of its own.
fn propagate(context: Option<&TraceContext>, headers: &mut HeaderMap) -> Result<(), RunFailure> {
    let Some(context) = context.filter(|_| !headers.contains_key(TRACEPARENT)) else { return Ok(()) };
    let place = |name: &HeaderName| Place::Header(name.to_string());
    headers.insert(TRACEPARENT, header_value(&place(&TRACEPARENT), &context.traceparent())?);
    if !context.state.is_empty() && !headers.contains_key(TRACESTATE) {
        headers.insert(TRACESTATE, header_value(&place(&TRACESTATE), &context.state)?);
    }
    Ok(())
}

/// A definition's own `baggage` is kept as it is.
fn tell(baggage: Option<&str>, headers: &mut HeaderMap) -> Result<(), RunFailure> {
    let Some(baggage) = baggage.filter(|_| !headers.contains_key(BAGGAGE)) else { return Ok(()) };
    headers.insert(BAGGAGE, header_value(&Place::Header(BAGGAGE.to_string()), baggage)?);
    Ok(())
}

fn identify(key: &str, headers: &mut HeaderMap) -> Result<(), RunFailure> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        let place = Place::Header(IDEMPOTENCY_KEY.to_string());
        headers.insert(IDEMPOTENCY_KEY, header_value(&place, key)?);
    }
    Ok(())
}

fn header_value(place: &Place, text: &str) -> Result<HeaderValue, RunFailure> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(unusable(format!("the value of {place} contains a line break or NUL character")));
    }
    HeaderValue::try_from(text)
        .map_err(|_| unusable(format!("the value of {place} contains a control character")))
}

fn render(template: &Template, variables: &Variables) -> Result<String, RunFailure> {
    template.render(variables).map_err(|error: TemplateError| unusable(error.to_string()))
}

/// A definition whose template comes to nothing that can be sent.
pub(in crate::adapters) fn unusable(message: String) -> RunFailure {
    RunFailure::new(codes::TEMPLATE_FAILED, Attribution::Definition, message)
}

#[cfg(test)]
mod tests;
