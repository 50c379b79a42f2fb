//! The database: opened, migrated, asked whether it is there.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use sqlx::any::{Any, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Transaction};
use tokio::sync::OnceCell;

use super::address::Address;
use super::error::StoreError;
use super::sealing::Keyring;
use super::tables::Table;
use super::{Kind, sqlite};
use crate::settings::{PoolSettings, StoreSettings};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// PostgreSQL alone: one import after the other, while readers go on.
const POSTGRES_ONE_WRITER: &str = "LOCK TABLE projects IN EXCLUSIVE MODE";

/// Definitions of projects, in SQLite or PostgreSQL. Clones share their connections.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    address: Address,
    acquire_timeout: Duration,
    keys: Keyring,
    /// Set once this process has found the tables up to date.
    migrated: Arc<OnceCell<()>>,
}

impl Store {
    /// Connects to the database at `url`: `sqlite://FILE` (created when missing), `sqlite::memory:` or
    /// `postgres://…`. The tables are left as they are, see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError`] if the URL cannot be used or the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(&StoreSettings { url: url.to_owned(), ..StoreSettings::default() }).await
    }

    /// As [`Store::open`], with everything that can be set. Keys are not looked at, see [`Store::with_keys`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(settings: &StoreSettings) -> Result<Self, StoreError> {
        let store = Self::lazy(settings)?;
        if let Address::SqliteFile { path, .. } = &store.address {
            sqlite::create_file(path)?;
        }
        store.connect().await?;
        Ok(store)
    }

    /// As [`Store::open_with`], and brings the tables up to date, but creates no file: whoever only reads definitions would
    /// find none in it. While there is no file, everything that is asked for is unavailable.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::migrate`], where there is a database.
    pub async fn open_existing(settings: &StoreSettings) -> Result<Self, StoreError> {
        let store = Self::lazy(settings)?;
        if store.check_file().is_ok() {
            store.connect().await?;
            store.migrated.get_or_try_init(|| store.migrate()).await?;
        }
        Ok(store)
    }

    /// Whether what is imported from now on is sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.keys.seals()
    }

    /// The same store, which seals with the first of `keys` and opens with each of them.
    #[must_use]
    pub fn with_keys(self, keys: Keyring) -> Self {
        Self { keys, ..self }
    }

    fn lazy(settings: &StoreSettings) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let address = Address::of(settings)?;
        let pool = pool_options(&address, settings).connect_lazy_with(address.options().clone());
        let acquire_timeout = settings.pool.acquire_timeout();
        Ok(Self { pool, address, acquire_timeout, keys: Keyring::default(), migrated: Arc::default() })
    }

    async fn connect(&self) -> Result<(), StoreError> {
        probe(&self.address, self.acquire_timeout).await?;
        self.ping().await
    }

    /// Finds out whether definitions can be read: the database is there with every table, and with a project.
    ///
    /// # Errors
    /// [`StoreError`] that says what is missing.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.check_file()?;
        // The file may have come since the store was opened.
        self.migrated.get_or_try_init(|| self.migrate()).await?;
        for kind in Kind::ALL {
            let read = Table::of(kind).one(self.pool(), "", "").await;
            read.map_err(|source| self.failed(&format!("reading every {kind}"), source))?;
        }
        self.check_keys().await?;
        self.check_filled().await
    }

    /// Finds out whether there is a file, where the database is one.
    ///
    /// # Errors
    /// [`StoreError::NoFile`] if there is none.
    pub fn check_file(&self) -> Result<(), StoreError> {
        match &self.address {
            Address::SqliteFile { path, .. } if !path.exists() => {
                Err(StoreError::NoFile { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// An empty database is likelier the wrong one than one in which nothing is to be found.
    pub(super) async fn check_filled(&self) -> Result<(), StoreError> {
        let any = Table::is_any_project(self.pool()).await;
        if any.map_err(|source| self.failed("looking for any project", source))? {
            return Ok(());
        }
        Err(StoreError::Empty { database: self.address.shown() })
    }

    /// Brings the tables up to date. Any number of workers may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Migrate`] if a migration fails, or the tables are newer than this program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // Every command of this program comes by here: where there is nothing to do, nothing is locked.
        if self.is_migrated().await {
            return Ok(());
        }
        let sqlite = self.address.is_sqlite();
        let result = if sqlite { self.migrate_sqlite().await } else { self.migrate_postgres().await };
        result.map_err(|source| StoreError::Migrate { database: self.address.shown(), source })
    }

    /// SQLite has no lock for migrations, so the write lock of a transaction around them all has to serve.
    async fn migrate_sqlite(&self) -> Result<(), MigrateError> {
        let begin = || self.pool.begin_with(sqlite::BEGIN_WRITING);
        let mut transaction = begin.retry(sqlite::migration_pauses()).when(sqlite::is_locked).await?;
        run_migrations(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Whether every migration was made, and no other one. A database that does not say so is migrated, which says more.
    async fn is_migrated(&self) -> bool {
        let known = MIGRATIONS.iter().map(|known| (known.version, known.checksum.to_vec()));
        let made = sqlx::query_as::<_, (i64, Vec<u8>)>(sqlite::MIGRATIONS_MADE).fetch_all(&self.pool).await;
        made.is_ok_and(|made| made.into_iter().eq(known))
    }

    /// On a connection of its own: a failed migration leaves its lock with it, and one of a large table, or the wait for
    /// somebody else's, takes longer than statements may.
    async fn migrate_postgres(&self) -> Result<(), MigrateError> {
        let mut connection = AnyConnection::connect_with(self.address.options()).await?;
        let result = run_migrations(&mut connection).await;
        // What was done is done, however the connection ends.
        drop(connection.close().await);
        result
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`StoreError::Database`] if there is none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answer = async { self.pool.acquire().await?.ping().await };
        answer.await.map_err(|source| self.failed("asking for a sign of life", source))
    }

    /// Closes every connection. What is asked afterwards fails.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(super) fn is_file(&self) -> bool {
        self.address.is_sqlite()
    }

    pub(super) fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Makes a file forget what was removed from it: SQLite leaves it in free pages and in its log. A log that others are
    /// reading at this moment is emptied by whoever closes the file last.
    pub(super) async fn forget_removed(&self) -> Result<(), sqlx::Error> {
        if self.address.is_sqlite() {
            for statement in sqlite::FORGET_REMOVED {
                self.pool.execute(statement).await?;
            }
        }
        Ok(())
    }

    /// Begins a transaction that no other writer can come between.
    pub(super) async fn begin_writing(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if self.address.is_sqlite() {
            return self.pool.begin_with(sqlite::BEGIN_WRITING).await;
        }
        let mut transaction = self.pool.begin().await?;
        transaction.execute(POSTGRES_ONE_WRITER).await?;
        Ok(transaction)
    }

    /// What was attempted on this database, for an error.
    pub(super) fn attempt(&self, what: &str) -> String {
        format!("{what} in {}", self.address.shown())
    }

    pub(super) fn failed(&self, what: &str, source: sqlx::Error) -> StoreError {
        StoreError::Database { attempted: self.attempt(what), source }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("database", &self.address.shown()).finish_non_exhaustive()
    }
}

/// `Migrator::run` would do the same, but no task could be spawned for its future: it is not general enough over
/// the lifetime of its connection.
async fn run_migrations(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    MIGRATIONS.run_direct(None, connection, false).await
}

fn pool_options(address: &Address, settings: &StoreSettings) -> AnyPoolOptions {
    let PoolSettings { max_connections, min_connections, .. } = settings.pool;
    let options = AnyPoolOptions::new().acquire_timeout(settings.pool.acquire_timeout());
    if matches!(address, Address::SqliteMemory { .. }) {
        // The database is gone when its connection is, and a second connection would have one of its own.
        return options.max_connections(1).idle_timeout(None).max_lifetime(None);
    }
    let greetings = greetings(address, settings.statement_timeout());
    options
        .max_connections(max_connections)
        .min_connections(min_connections)
        .idle_timeout(settings.pool.idle_timeout())
        .max_lifetime(settings.pool.max_lifetime())
        .after_connect(move |connection, _| {
            let greetings = greetings.clone();
            Box::pin(async move {
                for statement in greetings {
                    connection.execute(AssertSqlSafe(statement)).await?;
                }
                Ok(())
            })
        })
}

/// What every connection is told before anything else.
fn greetings(address: &Address, timeout: Duration) -> Vec<String> {
    let millis = timeout.as_millis();
    match address {
        Address::SqliteMemory { .. } => Vec::new(),
        Address::SqliteFile { .. } => {
            vec![format!("PRAGMA busy_timeout = {millis}"), sqlite::OVERWRITE_REMOVED.to_owned()]
        }
        Address::Postgres { .. } => vec![format!("SET statement_timeout = {millis}")],
    }
}

/// Connects once without the pool, which would only say that it ran out of time.
async fn probe(address: &Address, patience: Duration) -> Result<(), StoreError> {
    let first_contact = async {
        match address {
            Address::SqliteFile { options, .. } => sqlite::use_write_ahead_log(options).await,
            Address::SqliteMemory { .. } => Ok(()),
            Address::Postgres { options, .. } => AnyConnection::connect_with(options).await?.close().await,
        }
    };
    let result = tokio::time::timeout(patience, first_contact).await;
    result.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|source| StoreError::Database {
        attempted: format!("connecting to {}", address.shown()),
        source,
    })
}
