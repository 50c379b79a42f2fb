//! The connection to the broker.

mod address;
mod authentication;
mod certificates;
mod refusal;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context, kv};
use async_nats::{AuthError, Client, ConnectOptions, Event, ServerError};
use rand::RngExt as _;
use tracing::{error, info, warn};

use super::dead_letters::Burials;
use super::lease::LeaseMisses;
use super::permissions::Denials;
use crate::http_client::install_tls_provider;
use crate::settings::NatsSettings;
use crate::text::chain;
use address::Address;
use authentication::Identity;
pub use refusal::ConnectError;

/// How often an idle connection is tested: a half-open one is found after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Time for one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the state of the connection is looked at.
const STATE_POLL: Duration = Duration::from_millis(100);
/// First and longest pause between two attempts to reconnect, in milliseconds; each is jittered.
const RECONNECT_FIRST_MS: u64 = 50;
const RECONNECT_LONGEST_MS: u64 = 4_000;
/// The oldest server that knows message TTLs and delete markers.
const LEAST_VERSION: (i64, i64, i64) = (2, 11, 0);
/// What the server says, in whatever case, to whom it sends away because a credential has run out (nats-server, errors.go).
const EXPIRED: &str = "user authentication expired";

/// A connection that restores itself.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Core NATS.
    pub client: Client,
    /// JetStream.
    pub jetstream: Context,
    /// What the server forbids.
    pub denials: Denials,
    /// What was buried over this connection.
    pub burials: Burials,
    /// Heartbeats over this connection that were not confirmed.
    pub lease_misses: LeaseMisses,
    /// What the subjects of `JetStream`'s API begin with where another domain's is used.
    domain_api: Option<Arc<str>>,
}

impl Connection {
    /// Whether the broker is there at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Ends when the connection is not there.
    pub async fn lost(&self) {
        while self.is_connected() {
            tokio::time::sleep(STATE_POLL).await;
        }
    }

    /// How often the connection was made so far.
    pub(super) fn times_made(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Ends when the connection is there.
    pub(super) async fn made(&self) {
        while !self.is_connected() {
            tokio::time::sleep(STATE_POLL).await;
        }
    }

    /// Ends when the connection is lost, or has been since it was made for the `times`th time.
    pub(super) async fn lost_since(&self, times: u64) {
        while self.is_connected() && self.times_made() == times {
            tokio::time::sleep(STATE_POLL).await;
        }
    }

    /// The largest message that the server takes, headers included, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// What the subjects begin with on which keys of `store` are written. A leaf node keeps `$KV` to itself, so the keys of
    /// another domain are written by way of its API, which takes the rest off again.
    pub(super) fn keys_of(&self, store: &kv::Store) -> String {
        match &self.domain_api {
            Some(api) => format!("{api}.{}", store.prefix),
            None => store.prefix.clone(),
        }
    }
}

/// Connects as `name`. Later losses of the connection are mended behind the scenes; the first attempt is not.
///
/// # Errors
/// [`ConnectError`] if a setting is unusable, no server answers or takes the credentials, or the server is too old.
pub async fn connect(settings: &NatsSettings, name: &str) -> Result<Connection, ConnectError> {
    install_tls_provider();
    let address = Address::parse(&settings.url)?;
    let identity = Arc::new(Identity::of(settings, &address));
    identity.check()?;
    certificates::check(&settings.tls)?;
    let denials = Denials::of_inbox(settings);
    let options = with_certificates(options(name, settings, &identity, &denials), &address, settings);
    let servers = address.servers.join(", ");
    let connecting = options.connect(address.to_servers()?).await;
    let client =
        connecting.map_err(|source| refusal::explain(servers.clone(), source, &identity, settings))?;
    let (major, minor, patch) = LEAST_VERSION;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(ConnectError::TooOld { servers, found: client.server_info().version });
    }
    Ok(made(client, settings, denials))
}

fn made(client: Client, settings: &NatsSettings, denials: Denials) -> Connection {
    let (jetstream, domain_api) = match &settings.jetstream_domain {
        None => (jetstream::new(client.clone()), None),
        Some(domain) => {
            let api = format!("$JS.{domain}.API");
            (jetstream::with_prefix(client.clone(), &api), Some(api.into()))
        }
    };
    let (burials, lease_misses) = (Burials::default(), LeaseMisses::default());
    Connection { client, jetstream, denials, burials, lease_misses, domain_api }
}

fn options(
    name: &str,
    settings: &NatsSettings,
    identity: &Arc<Identity>,
    denials: &Denials,
) -> ConnectOptions {
    let (identity, denials) = (Arc::clone(identity), denials.clone());
    ConnectOptions::with_auth_callback(move |nonce| authenticate(Arc::clone(&identity), nonce))
        .name(name)
        .custom_inbox_prefix(&settings.inbox_prefix)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            report(&event, &denials);
            std::future::ready(())
        })
}

/// Asked for each connection, so that one that is made anew is made with what the files hold by then.
async fn authenticate(identity: Arc<Identity>, nonce: Vec<u8>) -> Result<async_nats::Auth, AuthError> {
    let reading = tokio::task::spawn_blocking(move || identity.prove(&nonce)).await;
    // The client library says it in the log, and tries again.
    reading.map_err(AuthError::new)?.map_err(|error| AuthError::new(chain(&error)))
}

fn with_certificates(
    mut options: ConnectOptions,
    address: &Address,
    settings: &NatsSettings,
) -> ConnectOptions {
    let tls = &settings.tls;
    options = options.require_tls(tls.required || tls.first || address.wants_tls);
    if tls.first {
        options = options.tls_first();
    }
    if let Some(file) = &tls.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => options.add_client_certificate(certificate.clone(), key.clone()),
        _ => options,
    }
}

/// Exponential, and jittered so that a fleet does not come back in one moment.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_FIRST_MS.saturating_mul(1 << doublings).min(RECONNECT_LONGEST_MS);
    Duration::from_millis(rand::rng().random_range(longest / 2..=longest))
}

fn report(event: &Event, denials: &Denials) {
    match event {
        Event::Connected => {
            denials.connected();
            info!("connected to NATS");
        }
        Event::Draining | Event::Closed => info!(%event, "the NATS connection ends"),
        Event::Disconnected | Event::LameDuckMode => warn!(%event, "the NATS connection is disturbed"),
        Event::ServerError(ServerError::Other(text)) => report_server_error(text, denials),
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            warn!(%event, "NATS reports a problem");
        }
    }
}

/// A denial comes again with every attempt; one line in the log is enough.
fn report_server_error(text: &str, denials: &Denials) {
    match denials.read(text) {
        None if text.to_lowercase().contains(EXPIRED) => {
            warn!(
                "the credentials for NATS have expired; their file is read again with every attempt to connect"
            );
        }
        None => warn!(text, "NATS reports a problem"),
        Some(denial) if denials.note(denial.clone()) => error!(subject = denial.subject, "{denial}"),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_before_a_reconnect_grows_to_its_limit() {
        assert!(reconnect_delay(1) <= Duration::from_millis(RECONNECT_FIRST_MS));
        assert!(reconnect_delay(usize::MAX) >= Duration::from_millis(RECONNECT_LONGEST_MS / 2));
        assert!(reconnect_delay(usize::MAX) <= Duration::from_millis(RECONNECT_LONGEST_MS));
    }
}
