//! The one way to an HTTP client: TLS provider installed, no redirect followed, no proxy from the environment.

use std::sync::Once;
use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How long a connection may take to be made, whatever the call's own limit is.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

static TLS_PROVIDER: Once = Once::new();

/// Installs the process's TLS provider. Later calls do nothing.
pub fn install_tls_provider() {
    TLS_PROVIDER.call_once(|| {
        // An error means that somebody installed one before, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// A client builder with the rules of this program.
///
/// Redirects are not followed because a client that follows them replays credentials such as `X-Auth-Token`
/// to another origin; proxies are not taken from the environment because they would see every tenant's key.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
pub fn builder() -> reqwest::ClientBuilder {
    install_tls_provider();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
}

/// What `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Some((at - now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after(&headers, datetime!(1994-11-06 08:49:30 UTC))
    }

    #[test]
    fn a_server_may_ask_in_seconds_or_with_a_date() {
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
    }
}
