//! Where the database is, from `store.url`.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::any::AnyConnectOptions;
use url::Url;

use super::StoreError;

/// What stays as it is when a file's name becomes part of a URL.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// A database that can be connected to.
#[derive(Clone)]
pub(super) enum Address {
    /// A file of this machine.
    SqliteFile { path: PathBuf, options: AnyConnectOptions },
    /// Nothing but memory: gone with its connection.
    SqliteMemory { options: AnyConnectOptions },
    /// A PostgreSQL server.
    Postgres { shown: String, options: AnyConnectOptions },
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| refused("it has no scheme"))?;
        match scheme {
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            "postgres" | "postgresql" => postgres(url),
            _ => Err(refused("its scheme is neither sqlite nor postgres")),
        }
    }

    pub(super) fn options(&self) -> &AnyConnectOptions {
        match self {
            Self::SqliteFile { options, .. }
            | Self::SqliteMemory { options }
            | Self::Postgres { options, .. } => options,
        }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        !matches!(self, Self::Postgres { .. })
    }

    /// The database as it may be shown: without user and password.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::SqliteFile { path, .. } => format!("sqlite://{}", path.display()),
            Self::SqliteMemory { .. } => "sqlite::memory:".to_owned(),
            Self::Postgres { shown, .. } => shown.clone(),
        }
    }
}

fn refused(reason: impl Into<String>) -> StoreError {
    StoreError::Url { reason: reason.into() }
}

fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    url.parse().map_err(|_| refused("it is not a URL"))
}

fn sqlite(rest: &str) -> Result<Address, StoreError> {
    let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
    if file == ":memory:" || query.split('&').any(|pair| pair == "mode=memory") {
        return Ok(Address::SqliteMemory { options: options("sqlite::memory:")? });
    }
    let path = percent_decode_str(file).decode_utf8().map_err(|_| refused("its file name is not UTF-8"))?;
    if path.is_empty() {
        return Err(refused("it names no file"));
    }
    // The name is encoded again because a URL with `//` takes its first part for a host.
    let encoded = utf8_percent_encode(&path, FILE_NAME);
    let url =
        if query.is_empty() { format!("sqlite:{encoded}") } else { format!("sqlite:{encoded}?{query}") };
    Ok(Address::SqliteFile { path: PathBuf::from(path.as_ref()), options: options(&url)? })
}

fn postgres(url: &str) -> Result<Address, StoreError> {
    let parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let shown = format!("postgres://{}{port}{}", parsed.host_str().unwrap_or_default(), parsed.path());
    Ok(Address::Postgres { shown, options: options(url)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Address::parse(url).unwrap().shown()
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        assert_eq!(
            shown("postgres://me:hunter2@db.example:5433/app?password=x"),
            "postgres://db.example:5433/app"
        );
        assert_eq!(shown("postgresql://db.example/app"), "postgres://db.example/app");
    }

    #[test]
    fn a_file_may_be_written_in_every_usual_way() {
        assert_eq!(shown("sqlite://worker.db"), "sqlite://worker.db");
        assert_eq!(shown("sqlite:worker.db"), "sqlite://worker.db");
        assert_eq!(shown("sqlite:///var/lib/my worker.db"), "sqlite:///var/lib/my worker.db");
        assert_eq!(shown("sqlite:///var/lib/my%20worker.db?mode=ro"), "sqlite:///var/lib/my worker.db");
        for memory in ["sqlite::memory:", "sqlite://:memory:", "sqlite://?mode=memory"] {
            assert_eq!(shown(memory), "sqlite::memory:", "{memory}");
        }
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        for url in ["hunter2", "mysql://me:hunter2@x/y", "postgres://me:hunter2@x:port/y", "sqlite://"] {
            let error = Address::parse(url).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains("store.url") && !text.contains("hunter2"), "{url}: {text}");
        }
    }
}
