//! Where the spans of a run go, with the credentials for it.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::definitions::{Platform, Secret, TelemetryDestination};
use crate::scrub::{Scrubber, url_credentials};

/// The header that LangWatch reads a key from, beside the bearer token.
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A telemetry endpoint that cannot be used. The text never repeats the URL or the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestination {
    /// The endpoint is not a URL.
    #[error(
        "the telemetry endpoint is not a valid URL ({0}); expected something like https://collector.example"
    )]
    Url(#[from] url::ParseError),
    /// The endpoint is not for HTTP.
    #[error("the telemetry endpoint has the scheme '{0}'; it must be http or https")]
    Scheme(String),
    /// The key cannot be a header value.
    #[error("the API key of the telemetry endpoint holds characters that no HTTP header may have")]
    Key,
}

impl From<InvalidHeaderValue> for InvalidDestination {
    fn from(_: InvalidHeaderValue) -> Self {
        Self::Key
    }
}

/// A URL and the headers that open it.
#[derive(Clone)]
pub struct Destination {
    url: Url,
    headers: HeaderMap,
    key: Option<Secret>,
    scrubber: Arc<Scrubber>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("url", &self.public_url())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Destination {
    /// Checks what a project's definition says.
    ///
    /// # Errors
    /// [`InvalidDestination`] if no request could be made of it.
    pub fn parse(definition: &TelemetryDestination) -> Result<Self, InvalidDestination> {
        Self::at(&definition.traces_url(), definition.api_key.as_ref())
    }

    /// Where a platform takes events of runs.
    ///
    /// # Errors
    /// [`InvalidDestination`] if no request could be made of it.
    pub fn of_events(platform: &Platform) -> Result<Self, InvalidDestination> {
        Self::at(&platform.events_url(), platform.api_key.as_ref())
    }

    fn at(url: &str, key: Option<&Secret>) -> Result<Self, InvalidDestination> {
        let url = Url::parse(url)?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(InvalidDestination::Scheme(url.scheme().to_owned()));
        }
        let headers = key.map(credentials).transpose()?.unwrap_or_default();
        let (mut credentials, key) = (url_credentials(&url), key.cloned());
        credentials.extend(key.as_ref().map(|key| key.expose().to_owned()));
        let scrubber = Arc::new(Scrubber::new(credentials.iter().map(String::as_str)));
        Ok(Self { url, headers, key, scrubber })
    }

    /// The URL without user, password, query and fragment.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }

    pub(in crate::telemetry) fn url(&self) -> &Url {
        &self.url
    }

    pub(in crate::telemetry) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// `text` without this destination's credentials, for what a server echoes.
    pub(in crate::telemetry) fn redact(&self, text: &str) -> String {
        self.scrubber.scrub(text)
    }
}

fn credentials(key: &Secret) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))?;
    let mut token = HeaderValue::from_str(key.expose())?;
    bearer.set_sensitive(true);
    token.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer), (X_AUTH_TOKEN, token)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::TelemetryProtocol;

    fn parse(endpoint: &str, key: Option<&str>) -> Result<Destination, InvalidDestination> {
        Destination::parse(&TelemetryDestination {
            endpoint: endpoint.into(),
            api_key: key.map(Secret::new),
            protocol: TelemetryProtocol::Otlp,
            capture: None,
            events: None,
        })
    }

    #[test]
    fn nothing_secret_is_printed() {
        let destination = parse("https://user:pa55@c.example/v1/traces", Some("hunter2")).unwrap();
        let printed = format!("{destination:?} {:?}", destination.headers());
        assert!(!printed.contains("hunter2") && !printed.contains("pa55"), "{printed}");
        assert_eq!(destination.public_url(), "https://c.example/v1/traces");
        assert_eq!(destination.redact("bad key hunter2 of pa55"), "bad key [redacted] of [redacted]");
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused_without_repeating_it() {
        for (endpoint, key) in
            [("not a url hunter2", None), ("ftp://u:hunter2@h", None), ("http://h", Some("hunter2\n"))]
        {
            let error = parse(endpoint, key).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
