//! An agent that speaks WebSocket.

use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// What the agent does next.
#[derive(Clone)]
pub(crate) enum Act {
    Say(String),
    Bytes(Vec<u8>),
    Ping,
    Close,
    CloseWith(u16, &'static str),
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// A connection: path and query, and the headers.
    Connection(String, Vec<(String, String)>),
    Message(String),
}

type Play = dyn Fn(&str) -> Vec<Act> + Send + Sync;

/// A running agent. It ends when it is dropped.
pub(crate) struct WebSocketServer {
    url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    accepting: JoinHandle<()>,
}

impl WebSocketServer {
    /// Starts an agent that does what `play` says to a message.
    pub(crate) async fn start(play: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::greeting(vec![], play).await
    }

    /// As [`WebSocketServer::start`] for one that does `first` on each connection.
    pub(crate) async fn greeting(
        first: Vec<Act>,
        play: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(listener, first, Arc::new(play), Arc::clone(&arrived)));
        Self { url, arrived, accepting }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.arrived().iter().filter(|arrived| matches!(arrived, Arrived::Connection(..))).count()
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        let message = |arrived| match arrived {
            Arrived::Message(text) => Some(text),
            Arrived::Connection(..) => None,
        };
        self.arrived().into_iter().filter_map(message).collect()
    }
}

impl Drop for WebSocketServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, first: Vec<Act>, play: Arc<Play>, arrived: Arc<Mutex<Vec<Arrived>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, first.clone(), Arc::clone(&play), Arc::clone(&arrived)));
    }
}

async fn serve(stream: TcpStream, first: Vec<Act>, play: Arc<Play>, arrived: Arc<Mutex<Vec<Arrived>>>) {
    let seen = Arc::clone(&arrived);
    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    let note = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers = request.headers().iter().map(pair).collect();
        seen.lock().unwrap().push(Arrived::Connection(request.uri().to_string(), headers));
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, note).await else { return };
    if !perform(&mut socket, first).await {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        arrived.lock().unwrap().push(Arrived::Message(text.to_string()));
        if !perform(&mut socket, play(text.as_str())).await {
            return;
        }
    }
}

/// Does all of it at once: what comes after the answer is there when the answer is. `false` is the end of the connection.
async fn perform(socket: &mut WebSocketStream<TcpStream>, acts: Vec<Act>) -> bool {
    for act in acts {
        let message = match act {
            Act::Say(text) => Message::text(text),
            Act::Bytes(bytes) => Message::Binary(Bytes::from(bytes)),
            Act::Ping => Message::Ping(Bytes::from_static(b"still there?")),
            Act::Close => Message::Close(None),
            Act::CloseWith(code, reason) => {
                Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
            }
        };
        if socket.feed(message).await.is_err() {
            return false;
        }
    }
    socket.flush().await.is_ok()
}
