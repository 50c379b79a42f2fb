//! TLS to PostgreSQL: who the server is, and who asks.

use std::path::PathBuf;

use scenario_worker::settings::{StoreSettings, StoreTlsMode, StoreTlsSettings};
use scenario_worker::store::Store;

use super::chain;
use crate::support::postgres::PostgresServer;
use crate::support::tls::{BY_ADDRESS, BY_NAME, CALLER, authority_pem};
use crate::support::worker::within;

/// Files of a client that the server knows.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (CALLER.certificate_pem(), CALLER.key_pem());
        for (name, text) in [("ca.pem", authority_pem()), ("client.pem", certificate), ("client.key", key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> StoreTlsSettings {
        StoreTlsSettings {
            mode: None,
            ca_file: Some(self.path("ca.pem")),
            cert_file: Some(self.path("client.pem")),
            key_file: Some(self.path("client.key")),
        }
    }
}

async fn open(server: &PostgresServer, tls: StoreTlsSettings) -> Result<(), String> {
    let settings = StoreSettings { url: server.url().into(), tls, ..StoreSettings::default() };
    opened(&settings).await
}

async fn opened(settings: &StoreSettings) -> Result<(), String> {
    let store = Store::open_with(settings).await.map_err(|error| chain(&error))?;
    store.migrate().await.map_err(|error| chain(&error))
}

#[tokio::test]
async fn a_server_proves_who_it_is_and_so_does_its_client() {
    let Some(mut server) = PostgresServer::start(BY_ADDRESS).await else {
        assert!(std::env::var_os("CI").is_none(), "in CI no test may be left out");
        return;
    };
    let files = Files::new();
    let good = files.settings();
    open(&server, good.clone()).await.unwrap();

    let stranger = StoreTlsSettings { cert_file: None, key_file: None, ..good.clone() };
    let error = open(&server, stranger).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let unknown = StoreTlsSettings { ca_file: None, mode: Some(StoreTlsMode::VerifyFull), ..good.clone() };
    let error = open(&server, unknown).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let plain = StoreTlsSettings { mode: Some(StoreTlsMode::Disable), ..StoreTlsSettings::default() };
    let error = open(&server, plain).await.unwrap_err();
    assert!(error.contains("pg_hba.conf"), "{error}");

    let mut url = server.url();
    for (name, file) in [("sslrootcert", "ca.pem"), ("sslcert", "client.pem"), ("sslkey", "client.key")] {
        url.query_pairs_mut().append_pair(name, files.path(file).to_str().unwrap());
    }
    url.query_pairs_mut().append_pair("sslmode", "verify-full");
    let by_url = StoreSettings { url: url.into(), ..StoreSettings::default() };
    opened(&by_url).await.unwrap();

    server.show(BY_NAME).await;
    within(async || open(&server, good.clone()).await.is_err()).await;
    let error = open(&server, good.clone()).await.unwrap_err();
    assert!(error.contains("NotValidForName"), "{error}");
    let any_name = StoreTlsSettings { mode: Some(StoreTlsMode::VerifyCa), ..good };
    open(&server, any_name).await.unwrap();
}
