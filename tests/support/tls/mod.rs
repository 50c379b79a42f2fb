//! TLS servers: one that nobody has a reason to trust, because its certificate is signed by itself, and those of an
//! authority that only tests know.

mod listener;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use scenario_worker::http_client;

pub(crate) use self::listener::TlsListener;

/// A certificate and its key. All of them are made for these tests and used nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    certificate: &'static [u8],
    key: &'static [u8],
}

const SELF_SIGNED: Identity =
    Identity { certificate: include_bytes!("cert.der"), key: include_bytes!("key.der") };
/// Signed by the authority, for 127.0.0.1.
pub(crate) const BY_ADDRESS: Identity =
    Identity { certificate: include_bytes!("by_address.der"), key: include_bytes!("by_address.key.der") };
/// Signed by the authority, for the name `agent.internal`.
pub(crate) const BY_NAME: Identity =
    Identity { certificate: include_bytes!("by_name.der"), key: include_bytes!("by_name.key.der") };
/// Signed by the authority, for a client.
pub(crate) const CALLER: Identity =
    Identity { certificate: include_bytes!("caller.der"), key: include_bytes!("caller.key.der") };
const AUTHORITY: &[u8] = include_bytes!("authority.der");

impl Identity {
    /// The certificate as PEM.
    pub(crate) fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", self.certificate)
    }

    /// The key as PEM.
    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key)
    }
}

/// The authority's certificate as PEM.
pub(crate) fn authority_pem() -> String {
    pem("CERTIFICATE", AUTHORITY)
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64_STANDARD.encode(der))
}

/// What a server asks its callers for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Anybody is served.
    Anybody,
    /// Only whom the authority knows.
    Known,
    /// Anybody is served; who proves who it is, is known.
    Asked,
}

/// Where a server is whose certificate is signed by itself. It serves until the test program ends.
pub(crate) fn self_signed_server() -> SocketAddr {
    server(SELF_SIGNED, Callers::Anybody)
}

/// Where a server is that shows `identity` and answers `ok`. It serves until the test program ends.
pub(crate) fn server(identity: Identity, callers: Callers) -> SocketAddr {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec();
    answering(identity, callers, answer).0
}

/// Where a server is that shows `identity` and gives `answer`, and whether each of its callers proved who it is.
pub(crate) fn answering(
    identity: Identity,
    callers: Callers,
    answer: Vec<u8>,
) -> (SocketAddr, Arc<Mutex<Vec<bool>>>) {
    let config = Arc::new(config(identity, callers));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, proofs) = (listener.local_addr().unwrap(), Arc::default());
    let (answer, seen) = (Arc::new(answer), Arc::clone(&proofs));
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let (config, answer, seen) = (Arc::clone(&config), Arc::clone(&answer), Arc::clone(&seen));
            std::thread::spawn(move || greet(config, tcp, &answer, &seen));
        }
    });
    (address, proofs)
}

fn config(identity: Identity, callers: Callers) -> ServerConfig {
    http_client::install_tls_provider();
    let builder = match callers {
        Callers::Anybody => ServerConfig::builder().with_no_client_auth(),
        Callers::Known => ServerConfig::builder().with_client_cert_verifier(verifier().build().unwrap()),
        Callers::Asked => {
            let verifier = verifier().allow_unauthenticated().build().unwrap();
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(identity.key).unwrap();
    builder.with_single_cert(vec![identity.certificate.into()], key).unwrap()
}

fn verifier() -> ClientCertVerifierBuilder {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(AUTHORITY)).unwrap();
    WebPkiClientVerifier::builder(Arc::new(roots))
}

/// A client that trusts the server is answered; one that does not ends the handshake, which is its right.
fn greet(config: Arc<ServerConfig>, mut tcp: TcpStream, answer: &[u8], proofs: &Mutex<Vec<bool>>) {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut stream = Stream::new(&mut connection, &mut tcp);
    if stream.read(&mut [0; 16 * 1024]).is_ok() {
        proofs.lock().unwrap().push(stream.conn.peer_certificates().is_some());
        drop(stream.write_all(answer));
        stream.conn.send_close_notify();
        drop(stream.flush());
    }
}
