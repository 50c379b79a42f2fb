//! One try of a call: post the request, read the answer up to a bound, within the time limit.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use time::OffsetDateTime;

use super::upstream::Upstream;
use super::wire::{UnexpectedAnswer, reasoning};
use crate::egress::{Client, ClientError, Redirects, Refused, retry_after};
use crate::execution::limits::Throttled;
use crate::execution::types::ChatReply;
use crate::stream::StreamError;

/// How this program introduces itself.
const AGENT: &str = concat!("scenario-worker/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The largest answer that is read, in bytes. A model's answer is some kilobytes; what is larger than this is a
/// mistake or an attack.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes of an answer that comes bit by bit: a few letters each travel in some hundred bytes.
pub(super) const MAX_STREAM_BYTES: usize = 4 * MAX_ANSWER_BYTES;

/// How much of a refusal is read, in bytes: enough for the JSON around the provider's own words.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// Why a call did not bring a reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The provider answered with an error's status.
    #[error("{}: {words}", status_text(*status))]
    Refused {
        status: StatusCode,
        words: String,
        retry_after: Option<Duration>,
        /// The whole answer, if it is JSON.
        answer: Option<Box<Value>>,
    },
    /// The provider answered with a good status and an error in the body.
    #[error("the answer is an error: {0}")]
    ErrorInAnswer(String),
    /// The provider's address may not be called.
    #[error("{0}")]
    Forbidden(Refused),
    /// There was no connection.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The time limit passed.
    #[error("no answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// There was more to read than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer comes bit by bit, and ended too early.
    #[error("the answer broke off before its end")]
    BrokeOff,
    /// The answer comes bit by bit, and nothing more came of it.
    #[error("nothing came for {} seconds in the middle of the answer", .0.as_secs())]
    Silent(Duration),
    /// The provider says in the middle of its answer that it cannot go on now.
    #[error("the provider gave up in the middle of its answer: {0}")]
    GaveUp(String),
    /// The answer comes bit by bit, and a bit of it is too large.
    #[error(transparent)]
    Unreadable(#[from] StreamError),
    /// The answer comes bit by bit, and the bits do not fit together.
    #[error("the answer cannot be put together: {0}")]
    Impossible(String),
    /// The answer is a page for people.
    #[error("an HTML page came back instead of JSON")]
    HtmlPage,
    /// The answer is not JSON.
    #[error("the answer is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The answer is other JSON.
    #[error(transparent)]
    Unexpected(#[from] UnexpectedAnswer),
}

/// Posts `body` once and reads the answer.
pub(super) async fn post(client: &Client, upstream: &Upstream, body: Bytes) -> Result<ChatReply, CallError> {
    let exchange = async {
        let response = send(client, upstream, upstream.url.clone(), body).await?;
        Ok(upstream.wire.reply(answer(response).await?)?)
    };
    in_time(upstream, exchange).await
}

/// What `exchange` comes to, unless it takes too long.
pub(super) async fn in_time<T>(
    upstream: &Upstream,
    exchange: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    tokio::time::timeout(upstream.timeout, exchange)
        .await
        .unwrap_or(Err(CallError::TimedOut(upstream.timeout)))
}

/// Posts `body` to `url`, and waits for the beginning of an answer that is none of an error.
pub(super) async fn send(
    client: &Client,
    upstream: &Upstream,
    url: Url,
    body: Bytes,
) -> Result<Response, CallError> {
    let request = client.request(Method::POST, url).headers(upstream.headers.clone());
    let request = request.header(CONTENT_TYPE, JSON).header(USER_AGENT, AGENT).body(body);
    let response = client.execute(request.build().map_err(broken)?, Redirects::Answer).await?;
    if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
}

/// The JSON of an answer in one piece.
pub(super) async fn answer(response: Response) -> Result<Value, CallError> {
    let html = says_html(response.headers());
    let (bytes, complete) = read(response, MAX_ANSWER_BYTES).await.map_err(broken)?;
    if !complete {
        return Err(CallError::TooLarge(MAX_ANSWER_BYTES));
    }
    if html || looks_like_html(&bytes) {
        return Err(CallError::HtmlPage);
    }
    let answer: Value = serde_json::from_slice(&bytes)?;
    match answer.get("error") {
        None | Some(Value::Null) => Ok(answer),
        Some(_) => Err(CallError::ErrorInAnswer(words(&bytes))),
    }
}

/// A refusal whose body cannot be read is still a refusal.
async fn refusal(response: Response) -> CallError {
    let status = response.status();
    let retry_after = retry_after(response.headers().get(RETRY_AFTER), OffsetDateTime::now_utc());
    let html = says_html(response.headers());
    let (words, answer) = match read(response, MAX_REFUSAL_BYTES).await {
        Ok((bytes, _)) if html || looks_like_html(&bytes) => ("an HTML page came back".to_owned(), None),
        Ok((bytes, _)) => (words(&bytes), serde_json::from_slice(&bytes).ok()),
        Err(error) => (format!("its body could not be read: {}", root_cause(error)), None),
    };
    CallError::Refused { status, words, retry_after, answer }
}

impl CallError {
    /// What it says of the number of calls.
    pub(super) fn throttled(&self) -> Option<Throttled> {
        match self {
            Self::Refused { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } => {
                Some(Throttled { retry_after: *retry_after })
            }
            _ => None,
        }
    }

    /// Whether the same call without reasoning may be taken; see [`reasoning`].
    pub(super) fn is_about_reasoning(&self) -> bool {
        matches!(self, Self::Refused { status, answer: Some(answer), .. }
            if reasoning::is_to_be_turned_off(*status, answer))
    }
}

/// Reads up to `limit` bytes; the flag says whether that was all.
async fn read(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

impl From<ClientError> for CallError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refused) => Self::Forbidden(refused),
            ClientError::Http(error) => broken(error),
            other @ ClientError::TooManyRedirects => Self::Broken(other.to_string()),
        }
    }
}

pub(super) fn broken(error: reqwest::Error) -> CallError {
    if error.is_connect() {
        CallError::NoConnection(root_cause(error))
    } else {
        CallError::Broken(root_cause(error))
    }
}

/// The innermost cause: it is the one that tells something. The URL is left out: its query may hold a credential.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn says_html(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())))
}

/// Where providers put their own words.
const WORDS: [&str; 5] = ["/error/message", "/0/error/message", "/error", "/message", "/detail"];

/// The provider's own words: its JSON's message where there is one, else the body.
fn words(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        WORDS
            .iter()
            .filter_map(|pointer| json.pointer(pointer)?.as_str())
            .find(|text| !text.trim().is_empty())
    });
    match message {
        Some(message) => message.trim().to_owned(),
        None if body.trim_ascii().is_empty() => "it said nothing".to_owned(),
        None => String::from_utf8_lossy(body.trim_ascii()).into_owned(),
    }
}

fn status_text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_words_are_found_in_the_shapes_that_providers_use() {
        for body in [
            r#"{"error":{"message":"no"}}"#,
            r#"[{"error":{"message":"no"}}]"#,
            r#"{"error":"no"}"#,
            r#"{"detail":"no"}"#,
            r#"{"type":"error","error":{"type":"x","message":" no "}}"#,
            "no\n",
        ] {
            assert_eq!(words(body.as_bytes()), "no", "{body}");
        }
        assert_eq!(words(br#"{"error":{}}"#), r#"{"error":{}}"#);
        assert_eq!(words(b" "), "it said nothing");
    }

    #[test]
    fn a_status_without_a_known_reason_is_only_its_number() {
        assert_eq!(status_text(StatusCode::from_u16(529).unwrap()), "HTTP 529");
        assert_eq!(status_text(StatusCode::TOO_MANY_REQUESTS), "HTTP 429 Too Many Requests");
    }
}
