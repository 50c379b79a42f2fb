//! The connection to the broker.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use percent_encoding::percent_decode_str;
use rand::RngExt as _;
use tracing::{error, info, warn};
use url::Url;

use super::dead_letters::Burials;
use super::lease::LeaseMisses;
use super::permissions::{Denial, Denials};
use crate::definitions::Secret;
use crate::http_client::install_tls_provider;
use crate::settings::NatsSettings;

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

/// Why there is no connection. No message repeats a URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot be used.
    #[error("cannot connect to NATS: `{setting}` {problem}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody answers at the address, or who answers refuses.
    #[error(
        "cannot connect to NATS at {servers}: the server is out of reach or refuses; check `nats.url`, the credentials and that nats-server runs"
    )]
    OutOfReach {
        /// Hosts and ports.
        servers: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is too old.
    #[error("nats-server at {servers} is version {found}; 2.11.0 or newer is needed")]
    TooOld {
        /// Hosts and ports.
        servers: String,
        /// Its version.
        found: String,
    },
}

impl ConnectError {
    /// Whether it may go better in a moment: nobody was there, as far as one can tell.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        use async_nats::ConnectErrorKind::{Dns, Io, TimedOut};
        matches!(self, Self::OutOfReach { source, .. } if matches!(source.kind(), Dns | Io | TimedOut))
    }
}

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
}

/// Connects as `name`. Later losses of the connection are mended behind the scenes; the first attempt is not.
///
/// # Errors
/// [`ConnectError`] if a setting is unusable, no server answers, or the server is too old.
pub async fn connect(settings: &NatsSettings, name: &str) -> Result<Connection, ConnectError> {
    install_tls_provider();
    let (address, denials) = (Address::parse(&settings.url)?, Denials::default());
    let options = with_authentication(options(name, &denials), &address, settings).await?;
    let servers = address.servers.join(", ");
    let client = options
        .connect(address.to_servers()?)
        .await
        .map_err(|source| ConnectError::OutOfReach { servers: servers.clone(), source })?;
    let (major, minor, patch) = LEAST_VERSION;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(ConnectError::TooOld { servers, found: client.server_info().version });
    }
    let jetstream = async_nats::jetstream::new(client.clone());
    let (burials, lease_misses) = (Burials::default(), LeaseMisses::default());
    Ok(Connection { client, jetstream, denials, burials, lease_misses })
}

fn options(name: &str, denials: &Denials) -> ConnectOptions {
    let denials = denials.clone();
    ConnectOptions::new()
        .name(name)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            report(&event, &denials);
            std::future::ready(())
        })
}

async fn with_authentication(
    mut options: ConnectOptions,
    address: &Address,
    settings: &NatsSettings,
) -> Result<ConnectOptions, ConnectError> {
    options = match &address.credentials {
        Credentials::None => options,
        Credentials::Token(token) => options.token(token.expose().to_owned()),
        Credentials::User(user, password) => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
    };
    if let Some(file) = &settings.credentials_file {
        options = options.credentials_file(file).await.map_err(|error| ConnectError::Setting {
            setting: "nats.credentials_file",
            problem: format!("'{}' cannot be read as NATS credentials: {error}", file.display()),
        })?;
    }
    with_certificates(options, settings)
}

fn with_certificates(
    mut options: ConnectOptions,
    settings: &NatsSettings,
) -> Result<ConnectOptions, ConnectError> {
    let tls = &settings.tls;
    options = options.require_tls(tls.required);
    if let Some(file) = &tls.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            Ok(options.add_client_certificate(certificate.clone(), key.clone()))
        }
        (None, None) => Ok(options),
        _ => Err(ConnectError::Setting {
            setting: "nats.tls",
            problem: "has only one of `cert_file` and `key_file`; a client certificate needs both".to_owned(),
        }),
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
    match Denial::read(text) {
        None => warn!(text, "NATS reports a problem"),
        Some(denial) if denials.note(denial.clone()) => error!(subject = denial.subject, "{denial}"),
        Some(_) => {}
    }
}

enum Credentials {
    None,
    Token(Secret),
    User(String, Secret),
}

/// `nats.url` taken apart: where to connect, and as whom.
struct Address {
    servers: Vec<String>,
    credentials: Credentials,
}

impl Address {
    /// The credentials of the first server that has some are used for all: the client knows one identity.
    fn parse(urls: &str) -> Result<Self, ConnectError> {
        let mut address = Self { servers: Vec::new(), credentials: Credentials::None };
        for url in urls.split(',') {
            let mut url = Url::parse(url.trim())
                .map_err(|error| url_problem(format!("has a part that is no URL: {error}")))?;
            if matches!(address.credentials, Credentials::None) {
                address.credentials = Credentials::of(&url);
            }
            url.set_username("")
                .and_then(|()| url.set_password(None))
                .map_err(|()| url_problem("has a part that names no host".to_owned()))?;
            address.servers.push(url.to_string());
        }
        Ok(address)
    }

    fn to_servers(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        let parse = |server: &String| server.parse().map_err(|e| url_problem(format!("cannot be used: {e}")));
        self.servers.iter().map(parse).collect()
    }
}

impl Credentials {
    fn of(url: &Url) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match (decode(url.username()), url.password().map(decode)) {
            (user, _) if user.is_empty() => Self::None,
            (token, None) => Self::Token(Secret::new(token)),
            (user, Some(password)) => Self::User(user, Secret::new(password)),
        }
    }
}

fn url_problem(problem: String) -> ConnectError {
    ConnectError::Setting { setting: "nats.url", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_addresses() {
        let address = Address::parse("nats://me:p%40ss@a:4222, nats://b:4223").unwrap();
        assert_eq!(address.servers, ["nats://a:4222", "nats://b:4223"]);
        match address.credentials {
            Credentials::User(user, password) => {
                assert_eq!((user.as_str(), password.expose()), ("me", "p@ss"));
            }
            _ => panic!("the credentials were lost"),
        }
    }

    #[test]
    fn the_pause_before_a_reconnect_grows_to_its_limit() {
        assert!(reconnect_delay(1) <= Duration::from_millis(RECONNECT_FIRST_MS));
        assert!(reconnect_delay(usize::MAX) >= Duration::from_millis(RECONNECT_LONGEST_MS / 2));
        assert!(reconnect_delay(usize::MAX) <= Duration::from_millis(RECONNECT_LONGEST_MS));
    }
}
