//! A way to a server that can be closed: the server is out of reach then.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A gate on a port of its own. It is open until it is closed.
pub(crate) struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A gate before `server`, a host and port.
    pub(crate) async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let state = open.subscribe();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(pass(caller, server.clone(), state.clone()));
            }
        });
        Self { address, open }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts who is inside, and sends away who comes.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets everybody pass again.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut caller: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    if !*open.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut caller, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
