//! A TLS server that nobody has a reason to trust: its certificate is signed by itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use scenario_worker::http_client;

/// Made for these tests and used nowhere else.
const CERTIFICATE: &[u8] = include_bytes!("cert.der");
const KEY: &[u8] = include_bytes!("key.der");

/// Where the server is. It serves until the test program ends.
pub(crate) fn self_signed_server() -> SocketAddr {
    http_client::install_tls_provider();
    let key = PrivateKeyDer::try_from(KEY).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || greet(config, tcp));
        }
    });
    address
}

/// A client that trusts the server would be answered; one that does not ends the handshake, which is its right.
fn greet(config: Arc<ServerConfig>, mut tcp: TcpStream) {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut stream = Stream::new(&mut connection, &mut tcp);
    if stream.read(&mut [0; 1024]).is_ok() {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }
}
