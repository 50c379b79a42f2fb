//! What a server answered, as JSON or as events.

use std::collections::VecDeque;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use serde_json::Value;

use super::call::shown;
use crate::adapters::codes;
use crate::adapters::http::response::status_failure;
use crate::adapters::http::transport::{ERROR_BODY_LIMIT, NoReply, RESPONSE_LIMIT, Received, no_reply, take};
use crate::adapters::scrub::Scrubber;
use crate::adapters::stream::{SseDecoder, SseEvent};
use crate::events::Attribution;
use crate::execution::failure::RunFailure;

/// An answer whose body has not been read.
pub(super) struct Answer<'a> {
    pub(super) place: String,
    pub(super) response: Response,
    pub(super) scrubber: &'a Scrubber,
}

/// An answer with a status that is no success.
pub(super) struct Refusal {
    /// What it means for the run, if nothing can be done.
    pub(super) failure: Box<RunFailure>,
    pub(super) status: StatusCode,
    /// The body, if it is JSON.
    pub(super) body: Option<Value>,
}

impl From<Refusal> for RunFailure {
    fn from(refusal: Refusal) -> Self {
        *refusal.failure
    }
}

impl<'a> Answer<'a> {
    /// The answer, if its status is a success.
    pub(super) async fn accepted(mut self) -> Result<Self, Refusal> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(self);
        }
        let read = take(&mut self.response, ERROR_BODY_LIMIT, &self.place).await;
        let (body, broken_off) = read.unwrap_or((Vec::new(), true));
        let (place, headers) = (self.place, self.response.headers().clone());
        let json = serde_json::from_slice(&body).ok();
        let received = Received { place, status, headers, body, broken_off };
        Err(Refusal { failure: Box::new(status_failure(&received, self.scrubber)), status, body: json })
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Whether it is a stream of events.
    pub(super) fn is_events(&self) -> bool {
        let kind = self.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
    }

    /// The whole body as JSON.
    pub(super) async fn json(mut self) -> Result<Value, RunFailure> {
        let (body, broken_off) = take(&mut self.response, RESPONSE_LIMIT, &self.place).await?;
        if broken_off {
            return Err(NoReply::TooLarge { place: self.place }.into());
        }
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the reply of {} is not JSON: {error}", self.place);
            RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
        })
    }

    /// The body as events.
    pub(super) fn events(self) -> Events<'a> {
        Events { answer: self, decoder: SseDecoder::new(RESPONSE_LIMIT), ready: VecDeque::new(), taken: 0 }
    }
}

/// Events in the order in which they arrive.
pub(super) struct Events<'a> {
    answer: Answer<'a>,
    decoder: SseDecoder,
    ready: VecDeque<SseEvent>,
    /// Bytes of the body so far.
    taken: usize,
}

impl Events<'_> {
    /// The next event; `None` is the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<SseEvent>, RunFailure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let chunk = self.answer.response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| no_reply(error, &self.answer.place))? else {
                return Ok(None);
            };
            self.taken += chunk.len();
            let mut events = Vec::new();
            let read = self.decoder.push(&chunk, &mut events);
            if self.taken > RESPONSE_LIMIT || read.is_err() {
                return Err(NoReply::TooLarge { place: self.answer.place.clone() }.into());
            }
            self.ready.extend(events);
        }
    }

    /// The next event whose data is not empty, as JSON.
    pub(super) async fn next_json(&mut self) -> Result<Option<(String, Value)>, RunFailure> {
        while let Some(event) = self.next().await? {
            if !event.data.trim().is_empty() {
                return self.parse(&event.data).map(|data| Some((event.name, data)));
            }
        }
        Ok(None)
    }

    fn parse(&self, data: &str) -> Result<Value, RunFailure> {
        serde_json::from_str(data).map_err(|error| {
            let shown = shown(self.answer.scrubber, data);
            let message = format!("an event of {} is not JSON ({error}): {shown}", self.answer.place);
            RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
        })
    }

    /// The stream ended before the answer did.
    pub(super) fn broke_off(&self) -> RunFailure {
        let cause = "the stream of events ended before the answer did".to_owned();
        NoReply::Interrupted { place: self.answer.place.clone(), cause }.into()
    }
}
