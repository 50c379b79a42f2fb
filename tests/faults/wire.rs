//! A small HTTP/1.1 server that knows what became of its answers: an ordinary one cannot tell an answer that was read
//! from one that lies in the buffers of a caller who is frozen or dead.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// What was asked. Names of headers are in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What becomes of each exchange.
pub(crate) type Handler = dyn Fn(Asked, Exchange) -> BoxFuture<'static, ()> + Send + Sync;

/// A connection that waits for its one answer.
#[derive(Debug)]
pub(crate) struct Exchange(TcpStream);

/// Serves on a free port of loopback; returns the origin.
pub(crate) async fn serve(handler: Arc<Handler>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(converse(stream, Arc::clone(&handler)));
        }
    });
    (origin, task)
}

async fn converse(mut stream: TcpStream, handler: Arc<Handler>) {
    if let Some(asked) = read(&mut stream).await {
        handler(asked, Exchange(stream)).await;
    }
}

impl Exchange {
    /// Waits until `ready` is over; false if the caller goes away before that.
    pub(crate) async fn hold(&mut self, ready: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = ready => true,
            // The caller has said everything, so whatever is read here is its end.
            _ = self.0.read_u8() => false,
        }
    }

    /// Hands the whole answer over; false if the caller is gone.
    pub(crate) async fn answer(&mut self, status: u16, body: &[u8]) -> bool {
        let (size, kind) = (body.len(), "content-type: application/json");
        let head =
            format!("HTTP/1.1 {status} x\r\n{kind}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n");
        let whole = [head.as_bytes(), body].concat();
        self.0.write_all(&whole).await.is_ok() && self.0.shutdown().await.is_ok()
    }

    /// Whether the caller took all of the answer in. One that did closes the connection; the end of one that dies, or gives
    /// up, before it has read everything is a reset.
    pub(crate) async fn was_read(mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0))
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        if let Some(asked) = parse(&bytes) {
            return Some(asked);
        }
        let size = stream.read(&mut chunk).await.ok().filter(|size| *size > 0)?;
        bytes.extend_from_slice(&chunk[..size]);
    }
}

/// The request, if all of it is there.
fn parse(bytes: &[u8]) -> Option<Asked> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: &str| line.split_once(':').map(|(k, v)| (k.to_lowercase(), v.trim().to_owned()));
    let headers: HashMap<_, _> = lines.filter_map(header).collect();
    let size = headers.get("content-length").map_or(0, |size| size.parse().unwrap());
    let body = bytes[end + 4..].get(..size)?.to_vec();
    Some(Asked { path, headers, body })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// More than one read of the caller takes in.
    const LARGE: usize = 256 * 1024;

    /// A server that answers at once and tells whether its answers were read.
    async fn server() -> (String, mpsc::UnboundedReceiver<bool>) {
        let (tell, told) = mpsc::unbounded_channel();
        let handler = move |asked: Asked, mut exchange: Exchange| -> BoxFuture<'static, ()> {
            let tell = tell.clone();
            Box::pin(async move {
                assert_eq!((asked.path.as_str(), asked.body.as_slice()), ("/here", b"hello".as_slice()));
                let handed_over = exchange.answer(200, &vec![b'x'; LARGE]).await;
                tell.send(handed_over && exchange.was_read().await).unwrap();
            })
        };
        let (origin, _) = serve(Arc::new(handler)).await;
        (origin.trim_start_matches("http://").to_owned(), told)
    }

    async fn heard(told: &mut mpsc::UnboundedReceiver<bool>) -> bool {
        tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_was_read_is_told_from_one_that_was_not() {
        let (address, mut told) = server().await;
        let ask = async || {
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"POST /here HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
            client
        };
        let mut client = ask().await;
        client.read_to_end(&mut Vec::new()).await.unwrap();
        drop(client);
        assert!(heard(&mut told).await, "all of it was read");
        let mut client = ask().await;
        client.read_u8().await.unwrap();
        drop(client);
        assert!(!heard(&mut told).await, "some of it was left unread");
    }
}
