//! Where an answer sends the caller, and what may be taken along.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use reqwest::{Request, Response};
use url::Url;

/// Headers that prove who calls, beside every header that is marked as sensitive.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
/// Headers that speak of a body.
const OF_THE_BODY: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING];

/// The URL that `response` sends the caller to; `None` if it does not.
pub(super) fn next_hop(response: &Response) -> Option<Url> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| redirects)?.to_str().ok()?;
    response.url().join(location).ok()
}

/// The request that follows `before` to `url`, as browsers and the fetch standard have it: without credentials where the
/// origin is another, and without a body unless the status asks for the same method again.
pub(super) fn follow(before: &Request, status: StatusCode, url: Url) -> Option<Request> {
    let same_origin = before.url().origin() == url.origin();
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
        || matches!(*before.method(), Method::GET | Method::HEAD);
    let mut next = before.try_clone()?;
    *next.url_mut() = url;
    if !keeps_method {
        *next.method_mut() = Method::GET;
        *next.body_mut() = None;
        for name in &OF_THE_BODY {
            next.headers_mut().remove(name);
        }
    }
    if !same_origin {
        drop_credentials(next.headers_mut());
    }
    Some(next)
}

fn drop_credentials(headers: &mut HeaderMap) {
    let sensitive: Vec<HeaderName> =
        headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
    for name in CREDENTIALS.iter().chain(&sensitive) {
        headers.remove(name);
    }
}
