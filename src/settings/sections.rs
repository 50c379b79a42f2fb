//! The settings by section, each number beside its name.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NatsSettings, SecretSource};
use crate::definitions::{ContentCapture, Secret};
use crate::events::BaggageKey;

const CONSUMER_DURABLE: &str = "scenario-workers";
const CONSUMER_MAX_ACK_PENDING: i64 = 256;
const CONSUMER_ACK_WAIT_SECONDS: u64 = 30;
const CONSUMER_MAX_ATTEMPTS: u32 = 5;
const CONSUMER_PULL_EXPIRES_SECONDS: u64 = 10;
const WORKER_CONCURRENCY: usize = 64;
const WORKER_DRAIN_SECONDS: u64 = 25;
const RUN_TIMEOUT_SECONDS: u64 = 900;
const RUN_STALL_TIMEOUT_SECONDS: u64 = 600;
/// An agent that ends a session does little, and the outcome waits for it.
const RUN_SESSION_END_SECONDS: u64 = 10;
const RUN_MAX_TURNS: u32 = 10;
const RUN_DEFAULT_SET_ID: &str = "default";
const RUN_PROCESS_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
const RUN_PROCESS_KILL_GRACE_SECONDS: u64 = 5;
const EVENTS_COMPLETED_RETENTION_SECONDS: u64 = 259_200;
const EVENTS_FAILED_RETENTION_SECONDS: u64 = 604_800;
const EVENTS_PROGRESS_RETENTION_SECONDS: u64 = 86_400;
const CASSETTES_RETENTION_SECONDS: u64 = 90 * 24 * 60 * 60;
const REQUESTS_DEDUP_WINDOW_SECONDS: u64 = 120;
const STORE_URL: &str = "sqlite://scenario-worker.db";
/// Longer than any statement here takes, an import that waits for another one included.
const STORE_STATEMENT_TIMEOUT_SECONDS: u64 = 30;
/// Lookups are short and few: some for each run that begins.
const STORE_POOL_MAX_CONNECTIONS: u32 = 8;
const STORE_POOL_MIN_CONNECTIONS: u32 = 0;
const STORE_POOL_ACQUIRE_TIMEOUT_SECONDS: u64 = 5;
const STORE_POOL_IDLE_TIMEOUT_SECONDS: u64 = 600;
const STORE_POOL_MAX_LIFETIME_SECONDS: u64 = 1_800;
const HISTORY_RETENTION_SECONDS: u64 = 30 * 24 * 60 * 60;
const HTTP_BIND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
const TELEMETRY_RUN_DEADLINE_SECONDS: u64 = 20;
const TELEMETRY_RECEIVER_SETTLE_SECONDS: u64 = 10;
const TELEMETRY_SPOOL_RETENTION_SECONDS: u64 = 86_400;
const TELEMETRY_SPOOL_MAX_BYTES: u64 = 1024 * 1024 * 1024;
const TELEMETRY_SPOOL_RETRY_SECONDS: u64 = 5;
const TELEMETRY_SINK_TIMEOUT_SECONDS: u64 = 10;
const TELEMETRY_SINK_RETRY_SECONDS: u64 = 2;
const TELEMETRY_SINK_RETENTION_SECONDS: u64 = 86_400;
/// Requests that a worker may wait for while it has the right to tell of a run: one that it begins last of all, and room.
const TIMEOUTS_PER_HOLD: u32 = 4;

/// Heartbeats that fit in one `ack_wait`: two may fail before a run is lost.
const HEARTBEATS_PER_ACK_WAIT: u32 = 3;

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The broker.
    pub nats: NatsSettings,
    /// The durable pull consumer.
    pub consumer: ConsumerSettings,
    /// This process.
    pub worker: WorkerSettings,
    /// Defaults of runs.
    pub run: RunSettings,
    /// What runs report.
    pub events: EventSettings,
    /// Cassettes.
    pub cassettes: CassetteSettings,
    /// What clients ask for.
    pub requests: RequestSettings,
    /// Where definitions are kept.
    pub store: StoreSettings,
    /// Runs that are over, in the store.
    pub history: HistorySettings,
    /// What runs may reach.
    pub egress: EgressSettings,
    /// Where telemetry goes.
    pub telemetry: TelemetrySettings,
    /// The worker's log.
    pub log: LogSettings,
    /// The health and metrics server.
    pub http: HttpSettings,
}

/// The durable pull consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSettings {
    /// The consumer group.
    pub durable: String,
    /// Runs in flight over all workers of the group.
    pub max_ack_pending: i64,
    /// A silent worker's runs move on after this.
    pub ack_wait_seconds: u64,
    /// Lost executions of one run.
    pub max_attempts: u32,
    /// How long one pull stays open.
    pub pull_expires_seconds: u64,
}

/// This process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Runs in flight in this process.
    pub concurrency: usize,
    /// How long runs may go on after a request to stop.
    pub drain_seconds: u64,
}

/// Where a run executes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In a task of this process.
    #[default]
    Task,
    /// In a child process.
    Process,
}

/// Defaults of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Time for a run that asks for none.
    pub timeout_seconds: u64,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout_seconds: u64,
    /// Whether a run that took too long is judged on what it has.
    pub judge_on_timeout: bool,
    /// How long the outcome may wait for an agent to end its session.
    pub session_end_seconds: u64,
    /// Turns of a run whose request and scenario ask for none.
    pub max_turns: u32,
    /// The set of a run that names none.
    pub default_set_id: String,
    /// The model of a project that has no default, as `provider/model`.
    pub default_model: Option<String>,
    /// Where a run executes.
    pub isolation: Isolation,
    /// The process of a run that has one.
    pub process: ProcessSettings,
}

/// The process of a run that has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSettings {
    /// Memory that it may ask for.
    pub memory_bytes: u64,
    /// How long it may take to end when it is told to, before it is killed.
    pub kill_grace_seconds: u64,
}

/// What runs report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// How long the outcome of a judged run is kept.
    pub completed_retention_seconds: u64,
    /// How long the outcome of a failed run, a dead letter and a terminal run state are kept.
    pub failed_retention_seconds: u64,
    /// How long `started` and `message` events are kept.
    pub progress_retention_seconds: u64,
    /// Also publish on the plain subjects `scenario.run.<kind>`.
    pub republish: bool,
}

/// Cassettes: what recorded runs said and heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CassetteSettings {
    /// How long a cassette is kept.
    pub retention_seconds: u64,
}

/// What clients ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// How long the stream remembers a `Nats-Msg-Id`.
    pub dedup_window_seconds: u64,
}

/// Where definitions are kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// `sqlite://…` or `postgres://…`.
    pub url: String,
    /// A file with such a URL.
    pub url_file: Option<PathBuf>,
    /// A file with the keys that seal credentials, the one that seals first.
    pub encryption_keys_file: Option<PathBuf>,
    /// The same keys without a file, for the environment.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub encryption_keys: Option<Secret>,
    /// How long PostgreSQL may take for a statement, and how long a statement waits for the lock of a SQLite file.
    pub statement_timeout_seconds: u64,
    /// Connections of this process.
    pub pool: PoolSettings,
    /// How PostgreSQL is connected to.
    pub tls: StoreTlsSettings,
}

/// Connections of this process to its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// At most this many.
    pub max_connections: u32,
    /// This many stay open, also when there is nothing to do.
    pub min_connections: u32,
    /// How long a caller waits for one before the database counts as out of reach.
    pub acquire_timeout_seconds: u64,
    /// One that nobody has used for this long is closed.
    pub idle_timeout_seconds: u64,
    /// One that is this old is replaced.
    pub max_lifetime_seconds: u64,
}

/// How PostgreSQL is connected to, beside what its URL says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreTlsSettings {
    /// What is asked of the connection; `verify-full` where there is a `ca_file`.
    pub mode: Option<StoreTlsMode>,
    /// Certificate authorities, beside the public ones (PEM).
    pub ca_file: Option<PathBuf>,
    /// This client's certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
}

/// What is asked of a connection to PostgreSQL, in the words of its own `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreTlsMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it, whoever it is.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// TLS with a certificate of a known authority, for the server's name.
    VerifyFull,
}

impl StoreTlsMode {
    /// The word for it in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether it matters who signed the server's certificate.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// Runs that are over, in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Whether this worker writes them down.
    pub enabled: bool,
    /// How long they are kept.
    pub retention_seconds: u64,
}

/// What runs may reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSettings {
    /// Whether targets, models and endpoints may be in private networks.
    pub allow_private_networks: bool,
    /// Hosts that may be in private networks whatever is said of those.
    pub allowed_hosts: Vec<String>,
    /// The proxy through which they are called.
    pub proxy: Option<String>,
}

/// Where telemetry goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The worker's own.
    pub worker: WorkerTelemetrySettings,
    /// The runs'.
    pub run: RunTelemetrySettings,
    /// Spans of runs that their endpoints have not taken yet.
    pub spool: SpoolSettings,
    /// Spans that the targets of runs send themselves.
    pub receiver: ReceiverSettings,
    /// Telling LangWatch of runs as they happen.
    pub sink: SinkSettings,
}

/// Spans that the targets of runs send themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverSettings {
    /// Where they are taken (OTLP over HTTP); unset is off.
    pub bind: Option<SocketAddr>,
    /// What senders have to have as bearer token; unset is nothing.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub token: Option<Secret>,
    /// A file with that token.
    pub token_file: Option<PathBuf>,
    /// How long a run waits for the spans of one call before it is judged by them; 0 is not at all.
    pub settle_seconds: u64,
}

/// The worker's own telemetry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerTelemetrySettings {
    /// OTLP/HTTP base; unset is off.
    pub otlp_endpoint: Option<String>,
}

/// The runs' telemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunTelemetrySettings {
    /// Where a run's spans go when its project names no endpoint.
    pub default_endpoint: Option<String>,
    /// Time for delivering a run's spans at its end, retries included.
    pub deadline_seconds: u64,
    /// What spans say of the conversation, where the project does not say so.
    pub capture: ContentCapture,
    /// What an HTTP agent is told of its run as `baggage`.
    pub baggage: Vec<BaggageKey>,
}

/// Spans of runs that their endpoints have not taken yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSettings {
    /// Whether this worker keeps such spans. Those that are there are sent in any case.
    pub enabled: bool,
    /// How long they are kept.
    pub retention_seconds: u64,
    /// About how many bytes of them are kept.
    pub max_bytes: u64,
    /// The pause before they are sent again; it doubles with every attempt, up to ten minutes.
    pub retry_seconds: u64,
}

/// Telling LangWatch of runs as they happen, for projects that ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkSettings {
    /// How long one request may take.
    pub timeout_seconds: u64,
    /// The pause before what was not taken is posted again; it doubles with every attempt, up to a minute.
    pub retry_seconds: u64,
    /// How long it is tried.
    pub retention_seconds: u64,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The worker's log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// What a line looks like.
    pub format: LogFormat,
}

/// The health and metrics server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens.
    pub bind: SocketAddr,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            durable: CONSUMER_DURABLE.to_owned(),
            max_ack_pending: CONSUMER_MAX_ACK_PENDING,
            ack_wait_seconds: CONSUMER_ACK_WAIT_SECONDS,
            max_attempts: CONSUMER_MAX_ATTEMPTS,
            pull_expires_seconds: CONSUMER_PULL_EXPIRES_SECONDS,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { concurrency: WORKER_CONCURRENCY, drain_seconds: WORKER_DRAIN_SECONDS }
    }
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            timeout_seconds: RUN_TIMEOUT_SECONDS,
            stall_timeout_seconds: RUN_STALL_TIMEOUT_SECONDS,
            judge_on_timeout: true,
            session_end_seconds: RUN_SESSION_END_SECONDS,
            max_turns: RUN_MAX_TURNS,
            default_set_id: RUN_DEFAULT_SET_ID.to_owned(),
            default_model: None,
            isolation: Isolation::Task,
            process: ProcessSettings::default(),
        }
    }
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self { memory_bytes: RUN_PROCESS_MEMORY_BYTES, kill_grace_seconds: RUN_PROCESS_KILL_GRACE_SECONDS }
    }
}

impl ProcessSettings {
    /// How long it may take to end when it is told to, before it is killed.
    #[must_use]
    pub fn kill_grace(&self) -> Duration {
        Duration::from_secs(self.kill_grace_seconds)
    }
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            completed_retention_seconds: EVENTS_COMPLETED_RETENTION_SECONDS,
            failed_retention_seconds: EVENTS_FAILED_RETENTION_SECONDS,
            progress_retention_seconds: EVENTS_PROGRESS_RETENTION_SECONDS,
            republish: true,
        }
    }
}

impl Default for CassetteSettings {
    fn default() -> Self {
        Self { retention_seconds: CASSETTES_RETENTION_SECONDS }
    }
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self { dedup_window_seconds: REQUESTS_DEDUP_WINDOW_SECONDS }
    }
}

impl fmt::Debug for StoreSettings {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings").finish_non_exhaustive()
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: STORE_URL.to_owned(),
            url_file: None,
            encryption_keys_file: None,
            encryption_keys: None,
            statement_timeout_seconds: STORE_STATEMENT_TIMEOUT_SECONDS,
            pool: PoolSettings::default(),
            tls: StoreTlsSettings::default(),
        }
    }
}

impl StoreSettings {
    /// How long a statement may take, or wait for a lock.
    #[must_use]
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_secs(self.statement_timeout_seconds)
    }

    /// Whether `url` is set to something else than what it is by default.
    pub(super) fn names_a_url(&self) -> bool {
        self.url != STORE_URL
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            max_connections: STORE_POOL_MAX_CONNECTIONS,
            min_connections: STORE_POOL_MIN_CONNECTIONS,
            acquire_timeout_seconds: STORE_POOL_ACQUIRE_TIMEOUT_SECONDS,
            idle_timeout_seconds: STORE_POOL_IDLE_TIMEOUT_SECONDS,
            max_lifetime_seconds: STORE_POOL_MAX_LIFETIME_SECONDS,
        }
    }
}

impl PoolSettings {
    /// How long a caller waits for a connection.
    #[must_use]
    pub fn acquire_timeout(&self) -> Duration {
        Duration::from_secs(self.acquire_timeout_seconds)
    }

    /// How long a connection stays open that nobody uses.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds)
    }

    /// How old a connection may become.
    #[must_use]
    pub fn max_lifetime(&self) -> Duration {
        Duration::from_secs(self.max_lifetime_seconds)
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self { enabled: true, retention_seconds: HISTORY_RETENTION_SECONDS }
    }
}

impl HistorySettings {
    /// How long runs are kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self { allow_private_networks: true, allowed_hosts: Vec::new(), proxy: None }
    }
}

impl Default for RunTelemetrySettings {
    fn default() -> Self {
        Self {
            default_endpoint: None,
            deadline_seconds: TELEMETRY_RUN_DEADLINE_SECONDS,
            capture: ContentCapture::Full,
            baggage: Vec::new(),
        }
    }
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self { bind: None, token: None, token_file: None, settle_seconds: TELEMETRY_RECEIVER_SETTLE_SECONDS }
    }
}

impl ReceiverSettings {
    /// Where the token is; `None` if senders need none.
    #[must_use]
    pub fn token(&self) -> Option<SecretSource> {
        SecretSource::of(
            "telemetry.receiver.token",
            self.token.as_ref(),
            "telemetry.receiver.token_file",
            self.token_file.as_ref(),
        )
    }

    /// How long a run waits for the spans of one call; `None` if none are taken.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.bind.map(|_| Duration::from_secs(self.settle_seconds))
    }
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            retention_seconds: TELEMETRY_SPOOL_RETENTION_SECONDS,
            max_bytes: TELEMETRY_SPOOL_MAX_BYTES,
            retry_seconds: TELEMETRY_SPOOL_RETRY_SECONDS,
        }
    }
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            timeout_seconds: TELEMETRY_SINK_TIMEOUT_SECONDS,
            retry_seconds: TELEMETRY_SINK_RETRY_SECONDS,
            retention_seconds: TELEMETRY_SINK_RETENTION_SECONDS,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { bind: HTTP_BIND }
    }
}

impl ConsumerSettings {
    /// How long a delivery stays this worker's without a heartbeat.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait_seconds)
    }

    /// How often a run says that it is alive.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.ack_wait() / HEARTBEATS_PER_ACK_WAIT
    }

    /// How long one pull stays open.
    #[must_use]
    pub fn pull_expires(&self) -> Duration {
        Duration::from_secs(self.pull_expires_seconds)
    }
}

impl WorkerSettings {
    /// How long runs may go on after a request to stop.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

impl RunSettings {
    /// Time for a run that asks for none.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl RunSettings {
    /// A run that finishes no step for this long is given up.
    #[must_use]
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_seconds)
    }

    /// How long the outcome may wait for an agent to end its session.
    #[must_use]
    pub fn session_end(&self) -> Duration {
        Duration::from_secs(self.session_end_seconds)
    }
}

impl SpoolSettings {
    /// How long spans are kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// The pause before spans are sent again for the first time.
    #[must_use]
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }
}

impl RunTelemetrySettings {
    /// Time for delivering a run's spans at its end, retries included.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }
}

impl SinkSettings {
    /// How long one request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// The pause before something is posted again for the first time.
    #[must_use]
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }

    /// How long it is tried.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// How long a worker may go on telling of a run before another one takes over.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.timeout() * TIMEOUTS_PER_HOLD
    }
}

impl EventSettings {
    /// How long any event is kept at most.
    #[must_use]
    pub fn longest_retention(&self) -> Duration {
        let Self {
            completed_retention_seconds, failed_retention_seconds, progress_retention_seconds, ..
        } = self;
        Duration::from_secs(
            *completed_retention_seconds.max(failed_retention_seconds).max(progress_retention_seconds),
        )
    }

    /// How long every outcome is kept at least.
    #[must_use]
    pub fn least_outcome_retention(&self) -> Duration {
        Duration::from_secs(self.completed_retention_seconds.min(self.failed_retention_seconds))
    }
}
