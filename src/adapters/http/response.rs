//! What an agent's reply says.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::output::OutputPath;
use super::transport::Received;
use crate::adapters::codes;
use crate::adapters::scrub::Scrubber;
use crate::events::Attribution;
use crate::execution::failure::RunFailure;
use crate::text::{TRUNCATED, cut};

/// The most of an error's body that is shown, in bytes.
pub(in crate::adapters) const SHOWN_BODY: usize = 2048;
/// Headers in which servers and gateways put the id of a request, the usual one first.
const REQUEST_ID: [&str; 3] = ["x-request-id", "x-amzn-requestid", "x-n8n-execution-id"];
/// Some servers begin JSON and text with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The agent's words.
pub(super) fn read(
    received: &Received,
    output: Option<&OutputPath>,
    scrubber: &Scrubber,
) -> Result<String, RunFailure> {
    if !received.status.is_success() {
        return Err(status_failure(received, scrubber));
    }
    let text = std::str::from_utf8(&received.body)
        .map_err(|error| invalid(format!("the reply of {} is not UTF-8: {error}", received.place)))?;
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let said = match output {
        Some(path) => said_at(path, text, received)?,
        None if is_json(&received.headers) && !text.trim().is_empty() => words(&json(text, received)?),
        None => text.to_owned(),
    };
    if said.trim().is_empty() {
        let message = format!("{} answered HTTP {} with an empty reply", received.place, received.status);
        return Err(RunFailure::new(codes::EMPTY_REPLY, Attribution::Target, message));
    }
    Ok(said)
}

fn said_at(path: &OutputPath, text: &str, received: &Received) -> Result<String, RunFailure> {
    let reply = json(text, received)?;
    path.first(&reply).map(words).ok_or_else(|| {
        let message =
            format!("outputPath '{}' matches nothing in the reply of {}", path.source(), received.place);
        RunFailure::new(codes::OUTPUT_PATH_NO_MATCH, Attribution::Target, message)
            .with_hint("Correct outputPath in the agent's definition, or what the agent answers")
    })
}

fn json(text: &str, received: &Received) -> Result<Value, RunFailure> {
    serde_json::from_str(text)
        .map_err(|error| invalid(format!("the reply of {} is not JSON: {error}", received.place)))
}

/// A text as it is; nothing for `null`; anything else as JSON.
pub(in crate::adapters) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn invalid(message: String) -> RunFailure {
    RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
}

/// A status that is no success, in the agreed words.
pub(in crate::adapters) fn status_failure(received: &Received, scrubber: &Scrubber) -> RunFailure {
    let status = received.status;
    let message = format!(
        "HTTP {} {} from {} (request-id: {}): {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Unknown"),
        received.place,
        request_id(&received.headers),
        shown_body(received, scrubber),
    );
    let failure = RunFailure::new(codes::HTTP_STATUS, Attribution::Target, message);
    if status.is_redirection() {
        return failure
            .with_hint("Its answer names no place to go to; put the final URL into the agent's definition");
    }
    failure
}

fn request_id(headers: &HeaderMap) -> &str {
    let ids = REQUEST_ID.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    ids.map(str::trim).find(|id| !id.is_empty()).unwrap_or("none")
}

/// Secrets go before the cut, which could leave a part of one.
fn shown_body(received: &Received, scrubber: &Scrubber) -> String {
    let text = String::from_utf8_lossy(&received.body);
    let text = if received.broken_off { scrubber.scrub_broken_off(&text) } else { scrubber.scrub(&text) };
    if received.broken_off && text.len() <= SHOWN_BODY {
        return format!("{text}{TRUNCATED}");
    }
    cut(&text, SHOWN_BODY)
}
