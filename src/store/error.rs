//! What can go wrong with the store. No message repeats a URL as it was given: it may hold a password.

use std::path::PathBuf;

use super::files::Problems;
use super::sealing::{SealError, UnsealError};
use crate::execution::failure::Unavailable;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no database that can be used.
    #[error(
        "`store.url` cannot be used: {reason}; expected sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Url {
        /// What is wrong with it, without its text.
        reason: String,
    },
    /// There is no SQLite file.
    #[error(
        "there is no database file '{}': import definitions, which creates it (`scenario-worker import FILE…`), or correct `store.url`",
        path.display()
    )]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// No project was ever imported, or another database is connected than the one that has them.
    #[error(
        "nothing was imported into {database}: import definitions (`scenario-worker import FILE…`), or correct `store.url`"
    )]
    Empty {
        /// Which database.
        database: String,
    },
    /// A SQLite file could not be created.
    #[error("creating the database file '{}' failed", path.display())]
    CreateFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database did not answer, or refused.
    #[error("{attempted} failed")]
    Database {
        /// What was attempted, where.
        attempted: String,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date.
    #[error("migrating {database} failed")]
    Migrate {
        /// Which database.
        database: String,
        /// Why it failed.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A definition could not be sealed.
    #[error("{attempted} failed")]
    Seal {
        /// What was attempted, where.
        attempted: String,
        /// Why it failed.
        #[source]
        source: SealError,
    },
    /// A sealed definition could not be opened.
    #[error("{attempted} failed")]
    Sealed {
        /// What was attempted, where.
        attempted: String,
        /// Why it failed.
        #[source]
        source: UnsealError,
    },
    /// A definition could not be written as, or read back from, JSON.
    #[error("{attempted} failed: the document does not fit {place}")]
    Document {
        /// What was attempted, where.
        attempted: String,
        /// Where in the document; its values are not shown, for some are credentials.
        place: String,
    },
}

impl StoreError {
    /// Whether there only is nothing in the store yet.
    #[must_use]
    pub fn is_unfilled(&self) -> bool {
        matches!(self, Self::NoFile { .. } | Self::Empty { .. })
    }
}

/// Why an import did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// What was to be imported is wrong.
    #[error(transparent)]
    Invalid(#[from] Problems),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database { attempted, source } => Self::new(attempted, source),
            other => Self::new("using the store", other),
        }
    }
}
