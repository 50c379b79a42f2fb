//! Sending a request and taking in the reply, within bounds of time and memory.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::Response;
use url::Url;

use super::request::Outgoing;
use crate::adapters::codes;
use crate::egress::{Client, ClientError, Redirects, Refused};
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};

/// The most of a reply that is taken in, in bytes after decompression: far more than anybody says in one turn.
pub(in crate::adapters) const RESPONSE_LIMIT: usize = 4 * 1024 * 1024;
/// The most of an error's body that is taken in, in bytes: enough to show the part of it that is shown.
pub(in crate::adapters) const ERROR_BODY_LIMIT: usize = 64 * 1024;

const SLOW_HINT: &str = "If the agent needs longer, raise timeoutSeconds in its definition";
const UNREACHABLE_HINT: &str =
    "Check that the agent runs at the URL of its definition, and that the worker can reach it";

/// A reply that was taken in.
pub(in crate::adapters) struct Received {
    /// The origin and path that was asked, without the query and without credentials.
    pub(in crate::adapters) place: String,
    pub(in crate::adapters) status: StatusCode,
    pub(in crate::adapters) headers: HeaderMap,
    pub(in crate::adapters) body: Vec<u8>,
    /// Whether there was more of the body; only an error's body is taken in in part.
    pub(in crate::adapters) broken_off: bool,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(in crate::adapters) enum NoReply {
    #[error("{place} did not answer within {seconds} seconds")]
    Timeout { place: String, seconds: u64 },
    #[error("{place} may not be called: {refused}")]
    Forbidden { place: String, refused: Refused },
    #[error("{place} could not be reached: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("{place} ended the connection before its reply was complete: {cause}")]
    Interrupted { place: String, cause: String },
    #[error("the reply of {place} is larger than the {RESPONSE_LIMIT} bytes that are read")]
    TooLarge { place: String },
}

impl From<NoReply> for RunFailure {
    fn from(error: NoReply) -> Self {
        let of_target = |code| Self::new(code, Attribution::Target, error.to_string());
        match error {
            NoReply::Timeout { .. } => of_target(codes::HTTP_TIMEOUT).with_hint(SLOW_HINT),
            NoReply::Forbidden { .. } => Self::definition(code::EGRESS_REFUSED, error.to_string()),
            NoReply::Unreachable { .. } => of_target(codes::HTTP_UNREACHABLE).with_hint(UNREACHABLE_HINT),
            NoReply::Interrupted { .. } => of_target(codes::HTTP_INVALID_RESPONSE),
            NoReply::TooLarge { .. } => of_target(codes::HTTP_RESPONSE_TOO_LARGE),
        }
    }
}

/// Sends `request`. `timeout` is for everything, from the name's resolution to the last byte.
pub(super) async fn send(
    client: &Client,
    request: Outgoing,
    timeout: Duration,
) -> Result<Received, RunFailure> {
    let place = origin_and_path(&request.url);
    match tokio::time::timeout(timeout, exchange(client, request, &place)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(NoReply::Timeout { place, seconds: timeout.as_secs() }.into()),
    }
}

async fn exchange(client: &Client, request: Outgoing, place: &str) -> Result<Received, NoReply> {
    let mut builder = client.request(request.method, request.url).headers(request.headers);
    if let Some(body) = request.body {
        builder = builder.body(body);
    }
    let request = builder.build().map_err(|error| no_reply(error, place))?;
    let answer = client.execute(request, Redirects::Follow).await;
    let mut response = answer.map_err(|error| no_answer(error, place))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let limit = if status.is_success() { RESPONSE_LIMIT } else { ERROR_BODY_LIMIT };
    let (body, broken_off) = take(&mut response, limit, place).await?;
    if broken_off && status.is_success() {
        return Err(NoReply::TooLarge { place: place.to_owned() });
    }
    Ok(Received { place: place.to_owned(), status, headers, body, broken_off })
}

/// The body up to `limit`, and whether there was more.
pub(in crate::adapters) async fn take(
    response: &mut Response,
    limit: usize,
    place: &str,
) -> Result<(Vec<u8>, bool), NoReply> {
    let failed = !response.status().is_success();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok((body, false)),
            Ok(Some(chunk)) if chunk.len() > limit - body.len() => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Ok((body, true));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // The status is the news; what arrived of its body is shown.
            Err(_) if failed => return Ok((body, true)),
            Err(error) => return Err(no_reply(error, place)),
        }
    }
}

/// Why nobody answered.
pub(in crate::adapters) fn no_answer(error: ClientError, place: &str) -> NoReply {
    match error {
        ClientError::Refused(refused) => NoReply::Forbidden { place: place.to_owned(), refused },
        ClientError::TooManyRedirects => {
            NoReply::Unreachable { place: place.to_owned(), cause: error.to_string() }
        }
        ClientError::Http(error) => no_reply(error, place),
    }
}

/// Why an answer is not whole.
pub(in crate::adapters) fn no_reply(error: reqwest::Error, place: &str) -> NoReply {
    let (unreachable, place) = (error.is_connect() || error.is_builder(), place.to_owned());
    let cause = cause(&error.without_url());
    if unreachable { NoReply::Unreachable { place, cause } } else { NoReply::Interrupted { place, cause } }
}

/// The innermost reason: the layers above it only say that something failed.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &(dyn Error + 'static) = error;
    let mut layer = "";
    while let Some(source) = reason.source() {
        reason = source;
        if reason.to_string().starts_with("dns error") {
            layer = "the host name could not be resolved: ";
        } else if is_tls(reason) {
            layer = "the TLS connection failed: ";
        }
    }
    format!("{layer}{reason}")
}

/// An I/O error hides what it wraps from the chain of sources, and may wrap another one.
fn is_tls(reason: &(dyn Error + 'static)) -> bool {
    let wrapped = reason.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    reason.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}

/// A URL without what may be a credential in it.
pub(in crate::adapters) fn origin_and_path(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
