//! A WebSocket over the way out: names, addresses, proxies and certificates are handled as for every other call.

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, StatusCode};
use reqwest::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::adapters::http::line::Call;
use crate::adapters::http::request::Outgoing;
use crate::execution::failure::RunFailure;

/// The version of the protocol (RFC 6455, section 4.1).
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Messages between turns that are passed over at most: nobody asked for them.
const MOST_UNASKED: usize = 1000;

/// A connection.
pub(super) struct Socket {
    stream: WebSocketStream<Upgraded>,
    /// What the other side said as it closed the connection.
    goodbye: Option<CloseFrame>,
}

/// Connects to the definition's URL.
pub(super) async fn connect(call: &Call<'_>) -> Result<Socket, RunFailure> {
    let key = generate_key();
    let answer = call.send(handshake(call, &key)?).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.accepted().await?;
        return Err(call.invalid("it answers, but does not speak WebSocket"));
    }
    let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(call.invalid("its handshake does not answer ours"));
    }
    let upgraded = answer.upgrade().await?;
    let limit = Some(call.most_bytes());
    let limits = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await;
    Ok(Socket { stream, goodbye: None })
}

/// The request that asks for another protocol (RFC 6455, section 4.1).
fn handshake(call: &Call<'_>, key: &str) -> Result<Outgoing, RunFailure> {
    let mut request = call.reading()?;
    let headers = &mut request.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    let key = HeaderValue::from_str(key).map_err(|_| call.invalid("the handshake has no key"))?;
    headers.insert(SEC_WEBSOCKET_KEY, key);
    Ok(request)
}

impl Socket {
    /// The connection, if the other side has not closed it. What was said between turns answers nobody.
    pub(super) fn still_open(mut self) -> Option<Self> {
        for _ in 0..MOST_UNASKED {
            match self.stream.next().now_or_never() {
                None => return Some(self),
                Some(Some(Ok(message))) if !message.is_close() => {}
                Some(_) => return None,
            }
        }
        None
    }

    /// Sends `message`.
    pub(super) async fn say(&mut self, call: &Call<'_>, message: String) -> Result<(), RunFailure> {
        self.stream.send(Message::text(message)).await.map_err(|error| failed(call, &error))
    }

    /// The next message; `None` is the end of the connection.
    pub(super) async fn hear(&mut self, call: &Call<'_>) -> Result<Option<String>, RunFailure> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Close(goodbye))) => {
                    self.goodbye = goodbye;
                    return Ok(None);
                }
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Ok(None),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(message)) => {
                    let text = message.into_text().map_err(|_| call.invalid("a message is not UTF-8"))?;
                    return Ok(Some(text.to_string()));
                }
                Some(Err(error)) => return Err(failed(call, &error)),
            }
        }
    }

    /// The connection ended before the answer did.
    pub(super) fn closed_early(&self, call: &Call<'_>) -> RunFailure {
        let early = "the connection was closed before the answer was complete";
        let Some(CloseFrame { code, reason }) = &self.goodbye else { return call.interrupted(early) };
        let code = u16::from(*code);
        let said = if reason.is_empty() { String::new() } else { format!(": {}", call.shown(reason)) };
        call.interrupted(&format!("{early} (code {code}{said})"))
    }

    /// Says goodbye. Whoever does not hear it notices the end of the connection.
    pub(super) async fn close(mut self) {
        if let Err(error) = self.stream.close(None).await {
            tracing::debug!(%error, "a WebSocket was not closed in order");
        }
    }
}

fn failed(call: &Call<'_>, error: &Error) -> RunFailure {
    match error {
        Error::Capacity(_) => call.too_large(),
        other => call.interrupted(&other.to_string()),
    }
}
