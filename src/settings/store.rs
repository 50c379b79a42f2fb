//! The database: definitions and the history of runs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definitions::Secret;

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
