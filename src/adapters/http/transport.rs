//! Sending a request and taking in its answer.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Request, Response};
use tokio::time::Instant;
use url::{Origin, Url};

use super::body::Body;
use super::content_type::in_utf8;
use super::limits::Limits;
use super::no_reply::NoReply;
use super::request::Outgoing;
use super::way::Way;
use crate::egress::{Client, ClientError, Journey};

/// The most of an error's body that is taken in, in bytes: enough to show the part of it that is shown.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// The beginning of an answer.
pub(super) struct Arrived {
    /// Who answers, and who was asked: origins and paths, without the query and without credentials.
    pub(super) place: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The cookies that were set on the way.
    pub(super) set: HeaderMap,
    /// When it was asked for.
    pub(super) sent: Instant,
    response: Response,
}

/// An answer that was taken in.
pub(super) struct Received {
    /// Who answers, and who was asked: origins and paths, without the query and without credentials.
    pub(super) place: String,
    /// Who answered, behind all redirects.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The cookies that were set on the way.
    pub(super) set: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether there was more of the body; only an error's body is taken in in part.
    pub(super) broken_off: bool,
}

/// Sends `request` on its `way`, and waits for its answer to begin.
pub(super) async fn send(
    client: &Client,
    request: Outgoing,
    limits: &Limits,
    mut way: Way<'_>,
) -> Result<Arrived, NoReply> {
    let asked = shown(client, &request.url);
    let forbidden = |refused| NoReply::Forbidden { place: asked.clone(), refused };
    client.policy().check_url(&request.url).map_err(forbidden)?;
    let (sent, home) = (Instant::now(), request.home.clone());
    let (redirects, repeatable) = (request.redirects, request.repeatable);
    let built = build(client, request).map_err(|error| NoReply::broken(error, &asked))?;
    let mut on_hop = |answer: &Response, next: &mut Request| way.hop(answer, next);
    let mut journey = Journey::new(home, &built, redirects, &mut on_hop).repeatable(repeatable);
    let answer = within(limits.first_byte, client.travel(built, &mut journey)).await;
    let place = behind(&asked, shown(client, journey.at()));
    let response = match answer {
        Ok(answer) => answer.map_err(|error| no_reply(error, asked, &place, limits))?,
        Err(limit) => return Err(NoReply::FirstByteTimeout { place, limit }),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    way.take(&headers, response.url());
    Ok(Arrived { place, status, headers, set: way.set, sent, response })
}

/// Who answers with redirects only is who was asked.
fn no_reply(error: ClientError, asked: String, place: &str, limits: &Limits) -> NoReply {
    match error {
        ClientError::TooManyRedirects => NoReply::too_many_redirects(asked),
        error => NoReply::to_request(error, place, limits.connect),
    }
}

/// What comes of `work`, or the limit that is over.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Duration> {
    match limit {
        None => Ok(work.await),
        Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| limit),
    }
}

/// Who answers, or does not, where `asked` led to `at`.
fn behind(asked: &str, at: String) -> String {
    if at == asked { at } else { format!("{at} (redirected from {asked})") }
}

/// Where a request of `client` goes, in the words of the protocol that it begins.
pub(in crate::adapters) fn shown(client: &Client, url: &Url) -> String {
    let place = origin_and_path(url);
    match place.strip_prefix("http").filter(|_| client.upgrades()) {
        Some(rest) => format!("ws{rest}"),
        None => place,
    }
}

fn build(client: &Client, request: Outgoing) -> Result<Request, reqwest::Error> {
    let builder = client.request(request.method, request.url).headers(request.headers);
    match request.body {
        Some(body) => builder.body(body).build(),
        None => builder.build(),
    }
}

impl Arrived {
    /// The answer as it is, whose connection may become another protocol's.
    pub(super) fn into_response(self) -> Response {
        self.response
    }

    /// The body, to be taken in piece by piece.
    pub(super) fn into_body(self, limits: &Limits) -> Body {
        Body::new(self.response, &self.place, limits.idle, limits.bytes)
    }

    /// Takes all of it in.
    pub(super) async fn take(self, limits: &Limits) -> Result<Received, NoReply> {
        let Self { place, status, headers, set, response, .. } = self;
        let url = response.url().clone();
        let body = Body::new(response, &place, limits.idle, limits.bytes).take().await?;
        let body = in_utf8(&headers, body);
        Ok(Received { place, url, status, headers, set, body, broken_off: false })
    }

    /// Takes in as much as is shown of an answer that failed: its status is the news, whatever becomes of its body.
    pub(super) async fn take_shown(self, limits: &Limits) -> Received {
        let Self { place, status, headers, set, response, .. } = self;
        let url = response.url().clone();
        let (body, broken_off) = Body::new(response, &place, limits.idle, ERROR_BODY_LIMIT).take_some().await;
        let body = in_utf8(&headers, body);
        Received { place, url, status, headers, set, body, broken_off }
    }
}

/// Where a request goes, as errors show it.
pub(in crate::adapters) fn origin_and_path(url: &Url) -> String {
    match url.origin() {
        origin @ Origin::Tuple(..) => format!("{}{}", origin.ascii_serialization(), url.path()),
        Origin::Opaque(_) => format!("{}:{}", url.scheme(), url.path()),
    }
}
