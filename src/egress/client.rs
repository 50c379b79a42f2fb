//! The client through which runs call out.

use std::fmt;
use std::sync::Arc;

use reqwest::{Request, Response};
use url::Url;

use super::policy::{EgressPolicy, Refused};
use super::redirect;
use super::resolver::Resolver;
use crate::http_client;

/// Redirects that one call follows at most.
const MOST_REDIRECTS: usize = 10;

/// What is done about an answer that sends the caller elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// It is the answer.
    Answer,
    /// It is followed, each hop checked, credentials left behind where the origin changes.
    Follow,
}

/// A client that calls only where it may. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<EgressPolicy>,
    proxy: Option<Url>,
}

/// The proxy is left out: its URL may hold a credential.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A call that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It may not be made.
    #[error("the call is not allowed: {0}")]
    Refused(#[from] Refused),
    /// The answers send the caller on and on.
    #[error("the answer redirects more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    /// There is no answer. The URL is left out: its query may hold a credential.
    #[error(transparent)]
    Http(reqwest::Error),
}

impl From<reqwest::Error> for ClientError {
    /// A name that leads to a closed address is refused inside the connection's making.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        match refusal(&error) {
            Some(refused) => Self::Refused(refused),
            None => Self::Http(error),
        }
    }
}

fn refusal(error: &reqwest::Error) -> Option<Refused> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        cause = error.source();
    }
    None
}

impl Client {
    /// A client under `policy`, over `proxy` if there is one. Behind a proxy names are resolved by the proxy, which then
    /// has to keep the rules for names; addresses in URLs are still checked here.
    ///
    /// # Errors
    /// Whatever the client's builder reports, such as a proxy that is no URL.
    pub fn new(policy: EgressPolicy, proxy: Option<&Url>) -> Result<Self, reqwest::Error> {
        Self::build(policy, proxy, http_client::builder())
    }

    /// As [`Client::new`], on a builder with settings of the caller's own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn build(
        policy: EgressPolicy,
        proxy: Option<&Url>,
        builder: reqwest::ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let host = proxy.and_then(Url::host_str).map(str::to_owned);
        let mut builder =
            builder.dns_resolver(Arc::new(Resolver { policy: Arc::clone(&policy), proxy: host }));
        if let Some(proxy) = proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?);
        }
        Ok(Self { http: builder.build()?, policy, proxy: proxy.cloned() })
    }

    /// The same way out, over connections that `builder` has settings of its own for.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn over(&self, builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        Self::build((*self.policy).clone(), self.proxy.as_ref(), builder)
    }

    /// Where calls may go.
    #[must_use]
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Begins a request. Nothing is checked before it is sent.
    pub fn request(&self, method: http::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends `request`, and follows where the answer leads if that is asked for.
    ///
    /// # Errors
    /// [`ClientError`] if the call may not be made or brings no answer.
    pub async fn execute(&self, mut request: Request, redirects: Redirects) -> Result<Response, ClientError> {
        for _ in 0..=MOST_REDIRECTS {
            self.policy.check_url(request.url())?;
            let again = if redirects == Redirects::Follow { request.try_clone() } else { None };
            let response = self.http.execute(request).await?;
            let hop = again.zip(redirect::next_hop(&response));
            let next = hop.and_then(|(again, url)| redirect::follow(&again, response.status(), url));
            match next {
                Some(next) => request = next,
                None => return Ok(response),
            }
        }
        Err(ClientError::TooManyRedirects)
    }
}
