//! The client through which runs call out.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Request, Response};
use url::Url;

use super::connection::{self, Sent};
use super::journey::Journey;
use super::policy::{EgressPolicy, Refused};
use super::redirect;
use super::resolver::Resolver;
use super::tls::{TlsError, TlsMaterial};
use crate::http_client::{self, CONNECT_TIMEOUT};
use crate::recent::Recent;

/// Clients with certificates or limits of their own that are kept, each with its connections. More only cost handshakes.
const MOST_OTHERS: usize = 64;
/// The name of HTTP/1.1 where protocols are negotiated (RFC 7301).
const HTTP_1: &[u8] = b"http/1.1";
/// Redirects that one call follows at most.
const MOST_REDIRECTS: usize = 10;

/// What is done about an answer that sends the caller elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// It is the answer.
    Answer,
    /// It is followed, each hop checked, credentials left behind where the origin changes.
    Follow,
    /// It is followed while it stays with the origin; one that leads elsewhere is the answer, for there is a credential in
    /// the body.
    FollowWithinOrigin,
}

/// A client that calls only where it may. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Made as the client was built.
    usual: reqwest::Client,
    /// For other origins, where `http` has certificates that are for one.
    elsewhere: Option<reqwest::Client>,
    policy: Arc<EgressPolicy>,
    proxy: Option<Url>,
    /// How connections of `http` are made.
    connecting: Connecting,
    tls: Option<TlsMaterial>,
    /// Clients with settings of their own.
    others: Arc<Mutex<Recent<Connecting, reqwest::Client>>>,
}

/// How connections are made.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Connecting {
    /// How long that may take.
    limit: Duration,
    /// What stands for their certificates.
    tls: Option<[u8; 32]>,
    /// Whether they may become another protocol's.
    upgrades: bool,
    /// Whether each is for one request.
    single: bool,
}

impl Connecting {
    /// As most are.
    const USUAL: Self = Self { limit: CONNECT_TIMEOUT, tls: None, upgrades: false, single: false };
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
        let http = connected(&policy, proxy, builder)?;
        let others = Arc::new(Mutex::new(Recent::new(MOST_OTHERS)));
        let (usual, proxy) = (http.clone(), proxy.cloned());
        let connecting = Connecting::USUAL;
        Ok(Self { usual, http, elsewhere: None, policy, proxy, connecting, tls: None, others })
    }

    /// A client under the same policy that makes each connection within `limit`, and that uses the certificates of `tls`
    /// for the origin that it is asked to call; where it is sent elsewhere it uses none. What is called the same way
    /// shares its connections.
    ///
    /// # Errors
    /// [`TlsError`] if the certificates cannot be used.
    pub fn connecting(&self, limit: Duration, tls: Option<&TlsMaterial>) -> Result<Self, TlsError> {
        let plain = Connecting { limit, tls: None, ..self.connecting };
        let elsewhere = self.http_for(plain, None)?;
        let Some(tls) = tls else {
            return Ok(Self {
                http: elsewhere,
                elsewhere: None,
                connecting: plain,
                tls: None,
                ..self.clone()
            });
        };
        let connecting = Connecting { tls: Some(tls.digest()), ..plain };
        let (http, elsewhere) = (self.http_for(connecting, Some(tls))?, Some(elsewhere));
        Ok(Self { http, elsewhere, connecting, tls: Some(tls.clone()), ..self.clone() })
    }

    /// A client under the same policy whose connections can become another protocol's: it speaks HTTP/1.1 alone, which
    /// is where that can be asked for.
    ///
    /// # Errors
    /// As [`Client::connecting`].
    pub fn upgrading(&self) -> Result<Self, TlsError> {
        let connecting = Connecting { upgrades: true, ..self.connecting };
        Self { connecting, ..self.clone() }.connecting(CONNECT_TIMEOUT, None)
    }

    fn http_for(
        &self,
        connecting: Connecting,
        tls: Option<&TlsMaterial>,
    ) -> Result<reqwest::Client, TlsError> {
        if connecting == Connecting::USUAL {
            return Ok(self.usual.clone());
        }
        let make = || {
            let builder = builder(connecting, tls)?;
            let client = connected(&self.policy, self.proxy.as_ref(), builder);
            client.map_err(|error| TlsError::Unusable(error.to_string()))
        };
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.get_or_make(connecting, make)
    }

    /// Where calls may go.
    #[must_use]
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Whether its connections become another protocol's.
    #[must_use]
    pub fn upgrades(&self) -> bool {
        self.connecting.upgrades
    }

    /// Begins a request. Nothing is checked before it is sent.
    pub fn request(&self, method: http::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends `request`, and follows where the answer leads if that is asked for. Certificates are for its own origin.
    ///
    /// # Errors
    /// [`ClientError`] if the call may not be made or brings no answer.
    pub async fn execute(&self, request: Request, redirects: Redirects) -> Result<Response, ClientError> {
        let mut nothing = |_: &Response, _: &mut Request| {};
        let mut journey = Journey::new(request.url().origin(), &request, redirects, &mut nothing);
        self.travel(request, &mut journey).await
    }

    /// As [`Client::execute`], on a journey that is begun with `request`.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn travel(
        &self,
        mut request: Request,
        journey: &mut Journey<'_>,
    ) -> Result<Response, ClientError> {
        for _ in 0..=MOST_REDIRECTS {
            self.policy.check_url(request.url())?;
            let again = if journey.redirects == Redirects::Answer { None } else { request.try_clone() };
            let is_home = request.url().origin() == journey.home;
            let response = self.send(request, is_home, journey.repeatable).await?;
            let hop = again.zip(redirect::next_hop(&response)).filter(|(again, url)| {
                journey.redirects == Redirects::Follow || again.url().origin() == url.origin()
            });
            let next = hop.and_then(|(again, url)| redirect::follow(&again, response.status(), url));
            match next {
                Some(next) => request = journey.hop(&response, next),
                None => return Ok(response),
            }
        }
        Err(ClientError::TooManyRedirects)
    }

    /// Sends `request`, and once more on a connection of its own if it may be repeated and the one that was kept for it
    /// is closed where the answer should begin: then it most likely never arrived.
    async fn send(
        &self,
        request: Request,
        is_home: bool,
        repeatable: bool,
    ) -> Result<Response, reqwest::Error> {
        let http = self.elsewhere.as_ref().filter(|_| !is_home).unwrap_or(&self.http);
        let again = request.try_clone().filter(|_| repeatable);
        let Sent { answer, made } = connection::send(http, request).await;
        match (answer, again) {
            (Err(error), Some(again)) if !made && connection::was_closed(&error) => {
                let tls = self.tls.as_ref().filter(|_| is_home);
                let digest = self.connecting.tls.filter(|_| is_home);
                let single = Connecting { tls: digest, single: true, ..self.connecting };
                match self.http_for(single, tls) {
                    Ok(http) => http.execute(again).await,
                    Err(_) => Err(error),
                }
            }
            (answer, _) => answer,
        }
    }
}

fn builder(connecting: Connecting, tls: Option<&TlsMaterial>) -> Result<reqwest::ClientBuilder, TlsError> {
    let Connecting { limit, upgrades, single, tls: _ } = connecting;
    let mut builder = http_client::builder().connect_timeout(limit);
    if upgrades {
        builder = builder.http1_only();
    }
    if single {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(tls) = tls {
        let mut config = tls.config()?;
        config.alpn_protocols.retain(|protocol| !upgrades || protocol == HTTP_1);
        builder = builder.tls_backend_preconfigured(config);
    }
    Ok(builder)
}

/// A client that connects to checked addresses only.
fn connected(
    policy: &Arc<EgressPolicy>,
    proxy: Option<&Url>,
    builder: reqwest::ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    let host = proxy.and_then(Url::host_str).map(str::to_owned);
    let resolver = Resolver { policy: Arc::clone(policy), proxy: host };
    let mut builder = connection::noting(builder).dns_resolver(Arc::new(resolver));
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?);
    }
    builder.build()
}
