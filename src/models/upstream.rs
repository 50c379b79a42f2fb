//! A provider's definition made ready for calls.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::wire::Wire;
use crate::definitions::Provider;
use crate::execution::types::{ModelName, ModelServer};
use crate::scrub::{Scrubber, url_credentials};

/// Time for one call where the provider's definition says nothing.
const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// The longest pause within an answer that comes bit by bit where the provider's definition says nothing: models that are
/// at work say something every few seconds.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Where a remote model is and how it is called.
pub(super) struct Upstream {
    /// The API that it speaks.
    pub(super) wire: &'static dyn Wire,
    /// Where calls are posted.
    pub(super) url: Url,
    /// Sent with every call, the key among them.
    pub(super) headers: HeaderMap,
    /// The model's name as the provider knows it.
    pub(super) model: String,
    /// Takes the key out of what the provider says.
    pub(super) scrubber: Scrubber,
    /// Time for one try.
    pub(super) timeout: Duration,
    /// The longest pause within an answer that comes bit by bit.
    pub(super) idle: Duration,
}

/// What a provider's definition lacks, as the failure words it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("API key")]
    Key,
    #[error("an API key that can be sent (it has a line break or another control character in it)")]
    SendableKey,
    #[error("a baseUrl that is an http or https URL")]
    BaseUrl,
}

impl Upstream {
    /// Makes `provider` ready for calls of `name` over `wire`.
    pub(super) fn new(
        provider: &Provider,
        name: &ModelName,
        wire: &'static dyn Wire,
    ) -> Result<Self, Missing> {
        let key = provider.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        if key.is_none() && !(wire.key_is_optional_elsewhere() && provider.base_url.is_some()) {
            return Err(Missing::Key);
        }
        let base = base_url(provider.base_url.as_deref().unwrap_or(wire.vendor_base_url()))?;
        let mut credentials = url_credentials(&base);
        credentials.extend(key.map(str::to_owned));
        let model = if provider.send_full_name { name.to_string() } else { name.model.clone() };
        Ok(Self {
            wire,
            url: wire.url(base, &model),
            headers: wire.headers(key).map_err(|_| Missing::SendableKey)?,
            model,
            scrubber: Scrubber::new(credentials.iter().map(String::as_str)),
            timeout: limit(provider.timeout_seconds, DEFAULT_CALL_TIMEOUT),
            idle: limit(provider.idle_timeout_seconds, DEFAULT_IDLE_TIMEOUT),
        })
    }

    /// Who serves the models of `provider` that speaks `wire`.
    pub(super) fn server(provider: &Provider, wire: &dyn Wire) -> ModelServer {
        let base = base_url(provider.base_url.as_deref().unwrap_or(wire.vendor_base_url())).ok();
        let host = base.as_ref().and_then(Url::host_str);
        ModelServer {
            kind: provider.kind,
            // An address of six parts is in brackets in a URL, and nowhere else.
            host: host.map(|host| host.trim_matches(['[', ']']).to_owned()),
            port: base.as_ref().and_then(Url::port_or_known_default),
        }
    }

    /// Scheme, host and port: what may be told of the URL, whose path and query may hold credentials.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// `host:port`, for people who look whether a server runs there.
    pub(super) fn host_and_port(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{host}{port}")
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("wire", &self.wire)
            .field("origin", &self.origin())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

fn base_url(text: &str) -> Result<Url, Missing> {
    let url = Url::parse(text.trim()).map_err(|_| Missing::BaseUrl)?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(Missing::BaseUrl) }
}

/// A limit of zero would refuse every call, so it is read as none.
fn limit(seconds: Option<u64>, default: Duration) -> Duration {
    seconds.filter(|seconds| *seconds > 0).map_or(default, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::ProviderKind;

    #[test]
    fn debug_shows_neither_the_key_nor_what_the_url_may_hide() {
        let json = r#"{"id":"p","kind":"openai","baseUrl":"http://u:hunter2@h/v1?key=hunter2","apiKey":" hunter2\n"}"#;
        let provider: Provider = serde_json::from_str(json).unwrap();
        let wire = crate::models::wire::of(ProviderKind::Openai).unwrap();
        let upstream = Upstream::new(&provider, &ModelName::parse("p/m").unwrap(), wire).unwrap();
        for text in [format!("{upstream:?}"), format!("{:?}", upstream.headers), upstream.origin()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert_eq!(
            upstream.headers["authorization"], "Bearer hunter2",
            "blanks around a key are not part of it"
        );
    }

    #[test]
    fn a_server_is_named_without_what_its_url_may_hide() {
        let server = |json: &str| {
            let provider: Provider = serde_json::from_str(json).unwrap();
            let server = Upstream::server(&provider, crate::models::wire::of(provider.kind).unwrap());
            (server.host.unwrap(), server.port.unwrap())
        };
        let vendors = server(r#"{"id":"p","kind":"anthropic"}"#);
        assert_eq!(vendors, ("api.anthropic.com".to_owned(), 443));
        let own = r#"{"id":"p","kind":"openai","baseUrl":"http://u:hunter2@[::1]:8080/v1?key=hunter2"}"#;
        assert_eq!(server(own), ("::1".to_owned(), 8080));
    }

    #[test]
    fn a_time_limit_of_zero_is_none() {
        let limit = |seconds| limit(seconds, DEFAULT_CALL_TIMEOUT);
        assert_eq!(limit(Some(7)), Duration::from_secs(7));
        assert_eq!([limit(Some(0)), limit(None)], [DEFAULT_CALL_TIMEOUT; 2]);
    }
}
