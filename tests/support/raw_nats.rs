//! A client that writes whatever bytes it is given: what a broken or hostile one may send.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::nats::NatsAccount;

/// A connection without any library.
pub(crate) struct RawClient {
    stream: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects to the account.
    pub(crate) async fn connect(account: &NatsAccount) -> Self {
        let (credentials, address) =
            account.url.strip_prefix("nats://").unwrap().split_once('@').expect("the URL has credentials");
        let (user, password) = credentials.split_once(':').expect("user and password");
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let mut client = Self { stream };
        let options =
            serde_json::json!({ "headers": true, "verbose": false, "user": user, "pass": password });
        client.write(format!("CONNECT {options}\r\n").as_bytes()).await;
        client.flush().await;
        client
    }

    /// Publishes; `headers` are all lines behind the version line, each with its end.
    pub(crate) async fn publish(&mut self, subject: &[u8], headers: &[u8], payload: &[u8]) {
        let block = [b"NATS/1.0\r\n", headers, b"\r\n"].concat();
        let lengths = format!(" {} {}\r\n", block.len(), block.len() + payload.len());
        self.write(&[b"HPUB ", subject, lengths.as_bytes(), &block, payload, b"\r\n"].concat()).await;
    }

    /// Returns when the server has taken what was published before.
    pub(crate) async fn flush(&mut self) {
        self.write(b"PING\r\n").await;
        let mut line = String::new();
        while line.trim_end() != "PONG" {
            line.clear();
            assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "the server hung up");
            assert!(!line.starts_with("-ERR"), "{line}");
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }
}
