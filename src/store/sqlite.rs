//! What only a SQLite file needs: how it is created, locked and shared by processes.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection, Executor};

use super::StoreError;

/// Takes the write lock at once. A transaction that reads first and writes then would be refused when another
/// process wrote in between.
pub(super) const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// What is removed or replaced is overwritten, because it may be a credential.
pub(super) const OVERWRITE_REMOVED: &str = "PRAGMA secure_delete = ON";

/// Writes the file anew without what was removed before that, and empties its log.
pub(super) const FORGET_REMOVED: [&str; 2] = ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"];

/// Readers and a writer do not block each other. The file remembers it.
const WRITE_AHEAD_LOG: &str = "PRAGMA journal_mode = WAL";

/// How long to wait before the change to a write-ahead log is tried again: it does not wait for locks itself.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// How often it is tried again: for two seconds.
const LOCKED_RETRIES: usize = 100;

/// How often a migration waits for the lock again, each time as long as a statement does: time for all of those who start
/// at once.
const MIGRATION_RETRIES: usize = 5;

/// The migrations that were made, in their order.
pub(super) const MIGRATIONS_MADE: &str =
    "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";

/// `SQLITE_BUSY`, whose extended codes have it in their lowest byte.
const BUSY: u32 = 5;

/// The lowest byte of a result code.
const PRIMARY_CODE: u32 = 0xff;

/// Only the owner reads and writes the file: it holds the credentials of every project.
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

/// Creates `path` as an empty file unless it exists. SQLite gives its companion files the same permissions.
pub(super) fn create_file(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(StoreError::CreateFile { path: path.to_owned(), source }),
    }
}

/// Makes the file at `options` use a write-ahead log, whoever else does the same at this moment.
pub(super) async fn use_write_ahead_log(options: &AnyConnectOptions) -> Result<(), sqlx::Error> {
    let pauses = ConstantBuilder::default().with_delay(LOCKED_PAUSE).with_max_times(LOCKED_RETRIES);
    let change = || async {
        let mut connection = AnyConnection::connect_with(options).await?;
        connection.execute(WRITE_AHEAD_LOG).await?;
        connection.close().await
    };
    change.retry(pauses).when(is_locked).await
}

/// When a migration tries again to get the lock.
pub(super) fn migration_pauses() -> ConstantBuilder {
    ConstantBuilder::default().with_delay(LOCKED_PAUSE).with_max_times(MIGRATION_RETRIES)
}

/// Whether somebody else has the lock.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & PRIMARY_CODE == BUSY)
}
