//! Files of certificates, looked at before anything is connected: the client library says less of them, and later.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::ConnectError;
use crate::settings::{TlsSettings, read_secret};

const CA_FILE: &str = "nats.tls.ca_file";
const CERT_FILE: &str = "nats.tls.cert_file";
const KEY_FILE: &str = "nats.tls.key_file";

/// Whether the files of `tls` hold what they have to.
pub(super) fn check(tls: &TlsSettings) -> Result<(), ConnectError> {
    if let Some(file) = &tls.ca_file {
        certificates(CA_FILE, file)?;
    }
    let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) else { return Ok(()) };
    let chain = certificates(CERT_FILE, certificate)?;
    let text = read(KEY_FILE, key)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| problem(KEY_FILE, key, "which has no private key in PEM form"))?;
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    config.with_client_auth_cert(chain, key).map(drop).map_err(|error| {
        problem(CERT_FILE, certificate, &format!("which does not go with `{KEY_FILE}`: {error}"))
    })
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let text = read(setting, file)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| problem(setting, file, "which has no certificate in PEM form"))
}

fn read(setting: &'static str, file: &Path) -> Result<String, ConnectError> {
    Ok(read_secret(setting, file)?.expose().to_owned())
}

fn problem(setting: &'static str, file: &Path, problem: &str) -> ConnectError {
    ConnectError::Setting { setting, problem: format!("is {}, {problem}", file.display()) }
}
