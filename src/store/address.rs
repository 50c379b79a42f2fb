//! Where the database is, from `store.url`.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::any::AnyConnectOptions;
use url::Url;

use super::StoreError;
use crate::settings::{StoreSettings, StoreTlsMode, StoreTlsSettings};

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
    pub(super) fn of(settings: &StoreSettings) -> Result<Self, StoreError> {
        let url = settings.url.as_str();
        let (scheme, rest) = url.split_once(':').ok_or_else(|| refused("it has no scheme"))?;
        match scheme {
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            "postgres" | "postgresql" => postgres(url, &settings.tls),
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

fn postgres(url: &str, tls: &StoreTlsSettings) -> Result<Address, StoreError> {
    let mut parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
    add_tls(&mut parsed, tls)?;
    refuse_idle_authority(&parsed)?;
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let shown = format!("postgres://{}{port}{}", parsed.host_str().unwrap_or_default(), parsed.path());
    Ok(Address::Postgres { shown, options: options(parsed.as_str())? })
}

/// Says what is set in the URL's own words (`sslmode` and so on), which the driver reads.
fn add_tls(url: &mut Url, tls: &StoreTlsSettings) -> Result<(), StoreError> {
    let StoreTlsSettings { mode, ca_file, cert_file, key_file } = tls;
    if *tls != StoreTlsSettings::default() && url.query_pairs().any(|(name, _)| name.starts_with("ssl")) {
        return Err(refused("it says `sslmode` or its like, and `store.tls` is set; say it in one of them"));
    }
    let mode = mode.or(ca_file.as_ref().map(|_| StoreTlsMode::VerifyFull));
    if let Some(mode) = mode {
        url.query_pairs_mut().append_pair("sslmode", mode.as_str());
    }
    for (name, file) in [("sslrootcert", ca_file), ("sslcert", cert_file), ("sslkey", key_file)] {
        let Some(file) = file else { continue };
        let path = file.to_str().ok_or_else(|| refused(format!("the path of its {name} is not UTF-8")))?;
        url.query_pairs_mut().append_pair(name, path);
    }
    Ok(())
}

/// The driver reads an authority and takes any certificate all the same, unless it is told to verify. Whoever names one
/// believes otherwise.
fn refuse_idle_authority(url: &Url) -> Result<(), StoreError> {
    let has = |names: &[&str]| url.query_pairs().filter(|(name, _)| names.contains(&name.as_ref())).last();
    let mode = has(&["sslmode", "ssl-mode"]).map(|(_, mode)| mode.to_ascii_lowercase()).unwrap_or_default();
    if has(&["sslrootcert", "ssl-root-cert", "ssl-ca"]).is_some() && !mode.starts_with("verify-") {
        return Err(refused(
            "it names an sslrootcert, which is looked at with sslmode=verify-full or verify-ca only",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, StoreError> {
        Address::of(&StoreSettings { url: url.to_owned(), ..StoreSettings::default() })
    }

    fn shown(url: &str) -> String {
        parse(url).unwrap().shown()
    }

    #[test]
    fn what_is_set_about_tls_becomes_part_of_the_url() {
        let tls = StoreTlsSettings { ca_file: Some("/etc/my ca.pem".into()), ..StoreTlsSettings::default() };
        let settings = StoreSettings { url: "postgres://h/d".to_owned(), tls, ..StoreSettings::default() };
        let address = Address::of(&settings).unwrap();
        let query = address.options().database_url.query().unwrap();
        assert_eq!(query, "sslmode=verify-full&sslrootcert=%2Fetc%2Fmy+ca.pem");
        assert_eq!(address.shown(), "postgres://h/d");
    }

    #[test]
    fn an_authority_that_nobody_would_look_at_is_refused() {
        for query in
            ["sslrootcert=ca.pem", "sslmode=require&sslrootcert=ca.pem", "ssl-ca=ca.pem&ssl-mode=prefer"]
        {
            let error = parse(&format!("postgres://h/d?{query}")).err().unwrap().to_string();
            assert!(error.contains("verify-full"), "{query}: {error}");
        }
        assert!(parse("postgres://h/d?sslmode=verify-full&sslrootcert=ca.pem").is_ok());
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
            let error = parse(url).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains("store.url") && !text.contains("hunter2"), "{url}: {text}");
        }
    }
}
