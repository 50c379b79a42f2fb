//! Sending a request and taking in its answer.

use http::{HeaderMap, StatusCode};
use reqwest::{Request, Response};
use tokio::time::Instant;
use url::{Origin, Url};

use super::body::Body;
use super::limits::Limits;
use super::no_reply::NoReply;
use super::request::Outgoing;
use crate::egress::Client;

/// The most of an error's body that is taken in, in bytes: enough to show the part of it that is shown.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// The beginning of an answer.
pub(super) struct Arrived {
    /// The origin and path that was asked, without the query and without credentials.
    pub(super) place: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// When it was asked for.
    pub(super) sent: Instant,
    response: Response,
}

/// An answer that was taken in.
pub(super) struct Received {
    /// The origin and path that was asked, without the query and without credentials.
    pub(super) place: String,
    /// Who answered, behind all redirects.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether there was more of the body; only an error's body is taken in in part.
    pub(super) broken_off: bool,
}

/// Sends `request` and waits for its answer to begin.
pub(super) async fn send(client: &Client, request: Outgoing, limits: &Limits) -> Result<Arrived, NoReply> {
    let place = origin_and_path(&request.url);
    let forbidden = |refused| NoReply::Forbidden { place: place.clone(), refused };
    client.policy().check_url(&request.url).map_err(forbidden)?;
    let (sent, redirects, home) = (Instant::now(), request.redirects, request.home.clone());
    let built = build(client, request).map_err(|error| NoReply::broken(error, &place))?;
    let answer = client.execute_from(&home, built, redirects);
    let answer = match limits.first_byte {
        None => answer.await,
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| NoReply::FirstByteTimeout { place: place.clone(), limit })?,
    };
    let response = answer.map_err(|error| NoReply::to_request(error, &place, limits.connect))?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Arrived { place, status, headers, sent, response })
}

fn build(client: &Client, request: Outgoing) -> Result<Request, reqwest::Error> {
    let builder = client.request(request.method, request.url).headers(request.headers);
    match request.body {
        Some(body) => builder.body(body).build(),
        None => builder.build(),
    }
}

impl Arrived {
    /// Who answered, behind all redirects.
    pub(super) fn url(&self) -> &Url {
        self.response.url()
    }

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
        let Self { place, status, headers, response, .. } = self;
        let url = response.url().clone();
        let body = Body::new(response, &place, limits.idle, limits.bytes).take().await?;
        Ok(Received { place, url, status, headers, body, broken_off: false })
    }

    /// Takes in as much as is shown of an answer that failed: its status is the news, whatever becomes of its body.
    pub(super) async fn take_shown(self, limits: &Limits) -> Received {
        let Self { place, status, headers, response, .. } = self;
        let url = response.url().clone();
        let (body, broken_off) = Body::new(response, &place, limits.idle, ERROR_BODY_LIMIT).take_some().await;
        Received { place, url, status, headers, body, broken_off }
    }
}

/// Where a request goes, as errors show it.
pub(in crate::adapters) fn origin_and_path(url: &Url) -> String {
    match url.origin() {
        origin @ Origin::Tuple(..) => format!("{}{}", origin.ascii_serialization(), url.path()),
        Origin::Opaque(_) => format!("{}:{}", url.scheme(), url.path()),
    }
}
