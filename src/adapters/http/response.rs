//! What an agent's reply says.

use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use time::OffsetDateTime;

use super::content_type::{charset, essence, is_json};
use super::path::{ReplyPath, words};
use super::rules::ReplyRules;
use super::tool_calls::{Joining, ToolCalls};
use super::transport::Received;
use crate::adapters::codes;
use crate::egress::retry_after;
use crate::events::{Attribution, TokenUsage};
use crate::execution::failure::RunFailure;
use crate::execution::limits::Throttled;
use crate::execution::ports::TargetReply;
use crate::scrub::Scrubber;
use crate::text::{MAX_WORDS_BYTES, TRUNCATED, cut};

/// Headers in which servers and gateways put the id of a request, the usual one first.
const REQUEST_ID: [&str; 3] = ["x-request-id", "x-amzn-requestid", "x-n8n-execution-id"];
/// What a page of the web begins with, whatever type it is declared to be.
const PAGES: [&str; 2] = ["<!doctype html", "<html"];
const PAGE_HINT: &str = "A login page or an error page is no answer: correct the url or the auth in the agent's definition. An agent that does \
     answer with pages must put them into JSON, for `outputPath` to find";
const OUTPUT_HINT: &str = "Correct outputPath in the agent's definition, or what the agent answers";
const LATER_HINT: &str = "Say in `poll` of the agent's definition where the answer will be, or list 202 in status.success if this is the answer";
/// Some servers begin JSON and text with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The agent's words, and what it says of its work.
pub(super) fn read(
    received: &Received,
    rules: &ReplyRules,
    scrubber: &Scrubber,
) -> Result<TargetReply, RunFailure> {
    let text = std::str::from_utf8(&received.body).map_err(|error| unreadable(received, &error))?;
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let reply = document(text, rules, received)?;
    no_promise(received, rules, reply.as_ref())?;
    if let Some(error) = reply.as_ref().and_then(|reply| rules.status.error_of(reply)) {
        return Err(reported(&received.place, &error, scrubber));
    }
    let (tool_calls, usage) = told(reply.as_ref(), rules, received)?;
    let content = match (&rules.output, &reply) {
        (Some(path), Some(reply)) => said_at(path, reply, !tool_calls.is_empty(), received)?,
        (None, Some(reply)) if is_json(&essence(&received.headers)) => words(reply),
        _ if is_page(text) => return Err(page(received)),
        _ => text.to_owned(),
    };
    Ok(TargetReply { content, tool_calls, usage, ..TargetReply::default() })
}

/// The reply as JSON, where it is or has to be. Tools, tokens and errors are looked for wherever there is JSON.
fn document(text: &str, rules: &ReplyRules, received: &Received) -> Result<Option<Value>, RunFailure> {
    let says_so = is_json(&essence(&received.headers)) && !text.trim().is_empty();
    let parsed = || serde_json::from_str(text);
    if rules.output.is_some() || says_so {
        let not_json = |error| invalid(&received.place, &format!("it is not JSON: {error}"));
        return parsed().map(Some).map_err(not_json);
    }
    let looks_into = rules.status.looks_for_errors() || rules.tool_calls.is_some() || rules.usage.looks();
    Ok(parsed().ok().filter(|_| looks_into))
}

fn told(
    reply: Option<&Value>,
    rules: &ReplyRules,
    received: &Received,
) -> Result<(Vec<crate::events::ToolCall>, TokenUsage), RunFailure> {
    let mut calls = ToolCalls::new(rules.tool_calls.as_ref(), Joining::Whole);
    let mut usage = TokenUsage::default();
    if let Some(reply) = reply {
        calls.take(reply).map_err(|problem| invalid(&received.place, &problem))?;
        rules.usage.take(reply, &mut usage);
    }
    Ok((calls.finish().map_err(|problem| invalid(&received.place, &problem))?, usage))
}

/// Who only called tools may have said nothing.
fn said_at(path: &ReplyPath, reply: &Value, acted: bool, received: &Received) -> Result<String, RunFailure> {
    match path.first(reply).map(words) {
        Some(said) => Ok(said),
        None if acted => Ok(String::new()),
        None => {
            let message = format!("{path} matches nothing in the reply of {}", received.place);
            let later = received.status == StatusCode::ACCEPTED;
            let hint = if later { LATER_HINT } else { OUTPUT_HINT };
            Err(RunFailure::new(codes::OUTPUT_PATH_NO_MATCH, Attribution::Target, message).with_hint(hint))
        }
    }
}

/// A promise of an answer is none: 202 that says where to look, or with a document in which nobody says where words are.
fn no_promise(received: &Received, rules: &ReplyRules, reply: Option<&Value>) -> Result<(), RunFailure> {
    let may_be = received.status == StatusCode::ACCEPTED && rules.poll.is_none();
    let is_record = reply.is_some_and(|reply| reply.is_object() || reply.is_array());
    let leads_on = received.headers.contains_key(LOCATION) || (is_record && rules.output.is_none());
    if !may_be || !leads_on || rules.status.names(received.status) {
        return Ok(());
    }
    let message = format!(
        "{} takes the request in (HTTP 202 Accepted) and answers later, and its definition has no `poll`",
        received.place
    );
    Err(RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message).with_hint(LATER_HINT))
}

/// Many servers declare a plain text to be HTML: only what begins as a page is one.
fn is_page(text: &str) -> bool {
    let begin: String = text.trim_start().chars().take(PAGES[0].len()).collect();
    PAGES.iter().any(|page| begin.to_ascii_lowercase().starts_with(page))
}

fn page(received: &Received) -> RunFailure {
    let problem = format!("it is a page of the web ({})", kind(received));
    invalid(&received.place, &problem).with_hint(PAGE_HINT)
}

fn kind(received: &Received) -> String {
    let essence = essence(&received.headers);
    if essence.is_empty() { "no Content-Type".to_owned() } else { essence }
}

fn unreadable(received: &Received, error: &std::str::Utf8Error) -> RunFailure {
    let declared = charset(&received.headers).filter(|charset| !charset.eq_ignore_ascii_case("utf-8"));
    let problem = match declared {
        Some(charset) => format!(
            "its charset is declared to be '{charset}', as which it cannot be read, and it is not UTF-8: {error}"
        ),
        None => format!("it is not UTF-8, and no other charset is declared: {error}"),
    };
    invalid(&received.place, &problem)
}

/// A reply that cannot be read.
pub(super) fn invalid(place: &str, problem: &str) -> RunFailure {
    let message = format!("the reply of {place} cannot be read: {problem}");
    RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
}

/// A reply in which the agent says that it failed.
pub(super) fn reported(place: &str, error: &str, scrubber: &Scrubber) -> RunFailure {
    let message = format!("{place} reports an error: {}", cut(&scrubber.scrub(error), MAX_WORDS_BYTES));
    RunFailure::new(codes::AGENT_ERROR, Attribution::Target, message)
}

/// A reply that says nothing.
pub(super) fn empty(place: &str) -> RunFailure {
    let message = format!("{place} answered with an empty reply");
    RunFailure::new(codes::EMPTY_REPLY, Attribution::Target, message)
}

/// An answer whose status says that it is none.
pub(super) fn status_failure(received: &Received, scrubber: &Scrubber) -> RunFailure {
    let status = received.status;
    let message = format!(
        "HTTP {} {} from {} (request-id: {}): {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Unknown"),
        received.place,
        request_id(&received.headers),
        shown_body(received, scrubber),
    );
    let failure =
        RunFailure::new(codes::HTTP_STATUS, Attribution::Target, message).throttling(throttled(received));
    if status.is_redirection() {
        return failure
            .with_hint("Its answer names no place to go to; put the final URL into the agent's definition");
    }
    failure
}

/// What the agent says of the number of calls.
pub(super) fn throttled(received: &Received) -> Option<Throttled> {
    let is_busy = received.status == StatusCode::TOO_MANY_REQUESTS;
    is_busy.then(|| Throttled { retry_after: asked_pause(&received.headers) })
}

/// How long the agent asks not to be asked.
pub(super) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER), OffsetDateTime::now_utc())
}

fn request_id(headers: &HeaderMap) -> &str {
    let ids = REQUEST_ID.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    ids.map(str::trim).find(|id| !id.is_empty()).unwrap_or("none")
}

/// Secrets go before the cut, which could leave a part of one.
fn shown_body(received: &Received, scrubber: &Scrubber) -> String {
    let text = String::from_utf8_lossy(&received.body);
    let text = if received.broken_off { scrubber.scrub_broken_off(&text) } else { scrubber.scrub(&text) };
    if received.broken_off && text.len() <= MAX_WORDS_BYTES {
        return format!("{text}{TRUNCATED}");
    }
    cut(&text, MAX_WORDS_BYTES)
}
