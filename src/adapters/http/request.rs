//! The request of one turn.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};
use url::Url;

use super::endpoint::Endpoint;
use crate::adapters::codes;
use crate::adapters::template::{Place, Template, TemplateError, Variables, last_line, trace_context};
use crate::events::{Attribution, TraceContext};
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetTurn;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that only has to be sent.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
}

/// Fills the endpoint's templates in.
pub(super) fn build(
    endpoint: &Endpoint,
    turn: &TargetTurn<'_>,
    parameters: &Map<String, Value>,
) -> Result<Outgoing, RunFailure> {
    let mut variables = Variables::of_turn(turn, parameters);
    variables.bind_mapped(&endpoint.mappings, turn);
    let url = url(&endpoint.url, &variables)?;
    let body = match (&endpoint.method, &endpoint.body) {
        (&Method::GET, _) => None,
        (_, Some(template)) => Some(render(template, &variables)?),
        (_, None) => Some(usual_body(turn)),
    };
    let mut headers = own_headers(endpoint, &variables)?;
    if body.is_some() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, JSON);
    }
    propagate(trace_context(turn), &mut headers)?;
    identify(turn, &mut headers)?;
    Ok(Outgoing { method: endpoint.method.clone(), url, headers, body })
}

/// A segment of dots cannot be escaped, and would lead out of where the definition points.
fn url(template: &Template, variables: &Variables) -> Result<Url, RunFailure> {
    let text = render(template, variables)?;
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if !template.is_constant() && path.split(['/', '\\']).any(is_dots) {
        return Err(unusable(format!("the value of {} has a path segment of dots only", template.place())));
    }
    parse_url(&text).map_err(unusable)
}

/// As WHATWG URL reads them, percent-encoded or not.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// A URL that can be requested.
pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("url: it is not valid: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url: its scheme is '{}'; only http and https are called", url.scheme()));
    }
    Ok(url)
}

/// The body where the definition has none.
pub(super) fn usual_body(turn: &TargetTurn<'_>) -> String {
    let message = |m: &crate::execution::types::Message| json!({ "role": m.role, "content": m.content });
    let messages: Vec<Value> = turn.transcript.iter().map(message).collect();
    json!({ "messages": messages, "threadId": turn.run.run, "input": last_line(turn) }).to_string()
}

/// The definition's headers; authentication wins over a header of the same name.
fn own_headers(endpoint: &Endpoint, variables: &Variables) -> Result<HeaderMap, RunFailure> {
    let mut headers = HeaderMap::new();
    for (name, template) in &endpoint.headers {
        headers.append(name, header_value(template.place(), &render(template, variables)?)?);
    }
    if let Some((name, value)) = endpoint.auth.header() {
        let mut value = header_value(&Place::Header(format!("{name}, from auth")), value.expose())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Lets the agent continue the run's trace, unless the definition has a `traceparent` of its own.
fn propagate(context: Option<TraceContext>, headers: &mut HeaderMap) -> Result<(), RunFailure> {
    let Some(context) = context.filter(|_| !headers.contains_key(TRACEPARENT)) else { return Ok(()) };
    let place = |name: &HeaderName| Place::Header(name.to_string());
    headers.insert(TRACEPARENT, header_value(&place(&TRACEPARENT), &context.traceparent())?);
    if !context.state.is_empty() && !headers.contains_key(TRACESTATE) {
        headers.insert(TRACESTATE, header_value(&place(&TRACESTATE), &context.state)?);
    }
    Ok(())
}

/// The same key whenever the step is repeated, so that an agent can tell a repetition from a second question.
fn identify(turn: &TargetTurn<'_>, headers: &mut HeaderMap) -> Result<(), RunFailure> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        let key = format!("{}:{}", turn.run.run, turn.turn);
        headers.insert(IDEMPOTENCY_KEY, header_value(&Place::Header(IDEMPOTENCY_KEY.to_string()), &key)?);
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

fn unusable(message: String) -> RunFailure {
    RunFailure::new(codes::TEMPLATE_FAILED, Attribution::Definition, message)
}

#[cfg(test)]
mod tests;
