//! A listener whose callers speak TLS and may choose HTTP/2 in the handshake (ALPN).

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Callers, Identity, config};

/// Protocols that are offered, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Connections that wait to be served.
const BACKLOG: usize = 64;

type Connection = (TlsStream<TcpStream>, SocketAddr);

/// The listener. It stops when it is dropped.
pub(crate) struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
    _accepting: AbortOnDropHandle<()>,
}

impl TlsListener {
    /// Listens on a free port of this machine, and shows `identity`.
    pub(crate) async fn bind(identity: Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = config(identity, Callers::Anybody);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        let (ready, connections) = mpsc::channel(BACKLOG);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), ready));
        Self { address, connections, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Nobody waits for the handshake of somebody else.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<Connection>) {
    while let Ok((tcp, address)) = listener.accept().await {
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            // Who ends the handshake has the right to.
            if let Ok(stream) = acceptor.accept(tcp).await {
                drop(ready.send((stream, address)).await);
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.address)
    }
}
