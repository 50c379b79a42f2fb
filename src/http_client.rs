//! The one way to an HTTP client: TLS provider installed, no redirect followed, no proxy from the environment.

use std::sync::Once;
use std::time::Duration;

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
