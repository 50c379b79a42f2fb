//! The body of an answer, piece by piece, within bounds of time and memory.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;

use super::no_reply::NoReply;

/// A body that is being taken in.
pub(super) struct Body {
    response: Response,
    place: String,
    idle: Option<Duration>,
    limit: usize,
    left: usize,
    over: bool,
}

impl Body {
    /// The body of `response`, of which at most `limit` bytes are taken in, and no piece is waited for longer than `idle`.
    pub(super) fn new(response: Response, place: &str, idle: Option<Duration>, limit: usize) -> Self {
        Self { response, place: place.to_owned(), idle, limit, left: limit, over: false }
    }

    /// The next piece; `None` at the end. What is over the limit is left out, and the piece after that is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, NoReply> {
        if self.over {
            return Err(NoReply::TooLarge { place: self.place.clone(), limit: self.limit });
        }
        let Some(mut piece) = self.arriving().await? else { return Ok(None) };
        if piece.len() > self.left {
            piece.truncate(self.left);
            self.over = true;
        }
        self.left -= piece.len();
        Ok(Some(piece))
    }

    /// Everything.
    pub(super) async fn take(mut self) -> Result<Vec<u8>, NoReply> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What arrives of it, and whether there was more.
    pub(super) async fn take_some(mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return (body, false),
                Err(_) => return (body, true),
            }
        }
    }

    async fn arriving(&mut self) -> Result<Option<Bytes>, NoReply> {
        let piece = self.response.chunk();
        let piece = match self.idle {
            None => piece.await,
            Some(limit) => tokio::time::timeout(limit, piece)
                .await
                .map_err(|_| NoReply::IdleTimeout { place: self.place.clone(), limit })?,
        };
        piece.map_err(|error| NoReply::broken(error, &self.place))
    }
}
