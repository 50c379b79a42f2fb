//! What a request meets on its way: answers that send it on, and the cookies that they set.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use reqwest::{Request, Response};
use time::OffsetDateTime;
use url::Url;

use super::cookies::Cookies;

/// The way of one request.
pub(super) struct Way<'a> {
    cookies: &'a mut Cookies,
    /// Whether the run keeps cookies.
    keeps: bool,
    now: OffsetDateTime,
    /// The definition's own cookies, as long as the request is with whom they are for.
    own: Option<HeaderValue>,
    /// What answers on the way have set.
    pub(super) set: HeaderMap,
}

impl<'a> Way<'a> {
    /// The way of a request that has the cookies `own` of the definition.
    pub(super) fn new(
        cookies: &'a mut Cookies,
        keeps: bool,
        now: OffsetDateTime,
        own: Option<HeaderValue>,
    ) -> Self {
        Self { cookies, keeps, now, own, set: HeaderMap::new() }
    }

    /// Takes the cookies that an answer of `from` sets.
    pub(super) fn take(&mut self, headers: &HeaderMap, from: &Url) {
        if self.keeps {
            self.cookies.take(headers, from, self.now);
        }
    }

    /// `answer` leads on to `next`, which has the cookies that are for whoever it goes to.
    pub(super) fn hop(&mut self, answer: &Response, next: &mut Request) {
        self.take(answer.headers(), answer.url());
        let set = answer.headers().get_all(SET_COOKIE);
        self.set.extend(set.iter().map(|line| (SET_COOKIE, line.clone())));
        if answer.url().origin() != next.url().origin() {
            self.own = None;
        }
        let kept = self.cookies.header(next.url(), self.now);
        let own = self.own.as_ref().and_then(|own| own.to_str().ok()).map(str::to_owned);
        let all = own.into_iter().chain(kept).collect::<Vec<_>>().join("; ");
        next.headers_mut().remove(COOKIE);
        // What came as a header's value is one.
        if let Some(mut value) = HeaderValue::try_from(all).ok().filter(|value| !value.is_empty()) {
            value.set_sensitive(true);
            next.headers_mut().insert(COOKIE, value);
        }
    }
}
