//! One try of a call whose answer is taken in as it comes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::transport::{self, CallError, MAX_STREAM_BYTES};
use super::upstream::Upstream;
use super::wire::streams::{Hearing, StreamFault};
use crate::egress::Client;
use crate::execution::types::ChatReply;
use crate::stream::{DEFAULT_EVENT_LIMIT, SseDecoder};

/// What an answer is that comes bit by bit.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Posts `body` once and takes in the answer as it comes. A server that answers in one piece all the same is heard, too.
pub(super) async fn post(client: &Client, upstream: &Upstream, body: Bytes) -> Result<ChatReply, CallError> {
    let exchange = async {
        let (sent, wire) = (Instant::now(), upstream.wire);
        let response = transport::send(client, upstream, wire.stream_url(&upstream.url), body).await?;
        if !is_stream(&response) {
            return Ok(wire.reply(transport::answer(response).await?)?);
        }
        let mut stream = Stream { response, hearing: wire.hearing(), idle: upstream.idle, sent, first: None };
        stream.listen().await?;
        let answer = stream.hearing.finish().ok_or(CallError::BrokeOff)?;
        Ok(ChatReply { first_chunk: stream.first, ..wire.reply(answer)? })
    };
    transport::in_time(upstream, exchange).await
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().trim_ascii_start());
    let start = kind.and_then(|kind| kind.get(..EVENT_STREAM.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
}

/// An answer that is coming.
struct Stream {
    response: Response,
    hearing: Box<dyn Hearing>,
    idle: Duration,
    sent: Instant,
    /// How long the first words took.
    first: Option<Duration>,
}

impl Stream {
    /// Takes in everything up to the end of the answer. What comes behind it is not waited for.
    async fn listen(&mut self) -> Result<(), CallError> {
        let (mut decoder, mut room) = (SseDecoder::new(DEFAULT_EVENT_LIMIT), MAX_STREAM_BYTES);
        // The model may think for long before it says anything: only the whole call's limit is for that.
        let mut next = self.response.chunk().await.map_err(transport::broken)?;
        while let Some(piece) = next {
            room = room.checked_sub(piece.len()).ok_or(CallError::TooLarge(MAX_STREAM_BYTES))?;
            self.take(&mut decoder, &piece)?;
            if self.hearing.is_complete() {
                break;
            }
            next = self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<Option<Bytes>, CallError> {
        let more = tokio::time::timeout(self.idle, self.response.chunk()).await;
        more.map_err(|_| CallError::Silent(self.idle))?.map_err(transport::broken)
    }

    fn take(&mut self, decoder: &mut SseDecoder, piece: &[u8]) -> Result<(), CallError> {
        let mut events = Vec::new();
        let readable = decoder.push(piece, &mut events);
        for event in events.iter().filter(|event| !event.data.trim().is_empty()) {
            self.hearing.take(event)?;
            if self.hearing.is_complete() {
                break;
            }
        }
        if self.hearing.has_begun() {
            self.first.get_or_insert_with(|| self.sent.elapsed());
        }
        if self.hearing.is_complete() { Ok(()) } else { Ok(readable?) }
    }
}

impl From<StreamFault> for CallError {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::NotJson(error) => Self::NotJson(error),
            StreamFault::Impossible(reason) => Self::Impossible(reason),
            StreamFault::Reported { words, passing: true } => Self::GaveUp(words),
            StreamFault::Reported { words, passing: false } => Self::ErrorInAnswer(words),
        }
    }
}
