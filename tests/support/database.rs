//! A database of its own for every test: a SQLite file, or a database of the PostgreSQL server at
//! `TEST_POSTGRES_URL` (see `deploy/with-postgres`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::Once;

use scenario_worker::settings::StoreSettings;
use scenario_worker::store::Store;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// Where the tests find a PostgreSQL server on which they may create databases.
const POSTGRES_URL: &str = "TEST_POSTGRES_URL";

static LEFT_OUT: Once = Once::new();

/// Said past the test harness, which keeps what passing tests print to itself.
fn say_left_out(test: &str) {
    let line =
        format!("left out: {test} and every other test on PostgreSQL, because {POSTGRES_URL} is not set\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// An empty database, removed with this value.
pub(crate) enum TestDatabase {
    /// A file in a folder of its own.
    Sqlite(TempDir),
    /// A database of its own.
    Postgres { server: String, name: String },
}

impl TestDatabase {
    /// A SQLite file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// An empty PostgreSQL database, or `None` where there is no server: then the test is left out, but never in CI.
    pub(crate) async fn postgres(test: &str) -> Option<Self> {
        let Ok(server) = std::env::var(POSTGRES_URL) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{POSTGRES_URL} is not set, and in CI no test may be left out"
            );
            LEFT_OUT.call_once(|| say_left_out(test));
            return None;
        };
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        run_on(&server, format!("CREATE DATABASE {name}")).await;
        Some(Self::Postgres { server, name })
    }

    /// The URL of the database, for `store.url`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("worker.db").display()),
            Self::Postgres { server, name } => {
                let mut url: url::Url = server.parse().unwrap();
                url.set_path(name);
                url.into()
            }
        }
    }

    /// Settings that lead to it.
    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings { url: self.url(), ..StoreSettings::default() }
    }

    /// A store on the database with its tables.
    pub(crate) async fn store(&self) -> Store {
        let store = Store::open(&self.url()).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Runs a statement behind the store's back.
    pub(crate) async fn execute(&self, statement: &'static str) {
        run_on(&self.url(), statement.to_owned()).await;
    }

    /// Everything that it keeps: the bytes of a file and of its log, or the texts of a server's tables.
    pub(crate) async fn raw(&self) -> Vec<u8> {
        if let Self::Sqlite(folder) = self {
            return bytes_in(folder.path());
        }
        let mut connection = AnyConnection::connect(&self.url()).await.unwrap();
        let mut bytes = Vec::new();
        for table in ["projects", "providers", "secrets", "prompts", "agents", "scenarios", "runs"] {
            let query = AssertSqlSafe(format!("SELECT CAST(row_to_json({table}) AS TEXT) FROM {table}"));
            let rows: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
            bytes.extend(rows.into_iter().flat_map(String::into_bytes));
        }
        connection.close().await.unwrap();
        bytes
    }

    /// Makes the database useless for everyone who has it open: a server drops it, a file loses its tables.
    pub(crate) async fn ruin(&self) {
        match self {
            Self::Sqlite(_) => {
                for statement in ["DROP TABLE scenarios", "DROP TABLE secrets", "DROP TABLE projects"] {
                    self.execute(statement).await;
                }
            }
            Self::Postgres { .. } => self.drop_database().await,
        }
    }

    /// Removes the database from its server; the folder of a file removes itself.
    pub(crate) async fn drop_database(&self) {
        if let Self::Postgres { server, name } = self {
            run_on(server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
    }
}

async fn run_on(url: &str, statement: String) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

/// Defines each of the named test bodies on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($body:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $body() {
                super::$body(&crate::support::database::TestDatabase::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $body() {
                let database = crate::support::database::TestDatabase::postgres(stringify!($body)).await;
                if let Some(database) = database {
                    super::$body(&database).await;
                    database.drop_database().await;
                }
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// The bytes of all files of a folder. A store that is dropped closes its file in the background, and moves its log into
/// it with that: then all of them are read again, so that nothing is missed on its way.
fn bytes_in(folder: &std::path::Path) -> Vec<u8> {
    loop {
        let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let read = files.try_fold(Vec::new(), |mut all, file| {
            all.extend(std::fs::read(file)?);
            Ok::<_, std::io::Error>(all)
        });
        match read {
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
            read => return read.unwrap(),
        }
    }
}
