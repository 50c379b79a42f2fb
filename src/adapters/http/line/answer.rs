//! What a server answered, as JSON or as events.

use std::collections::VecDeque;

use http::{HeaderMap, StatusCode};
use reqwest::Upgraded;
use serde_json::Value;

use super::again::Breakage;
use crate::adapters::http::body::Body;
use crate::adapters::http::content_type::essence;
use crate::adapters::http::limits::Limits;
use crate::adapters::http::no_reply::NoReply;
use crate::adapters::http::response::{invalid, status_failure};
use crate::adapters::http::transport::Arrived;
use crate::execution::failure::RunFailure;
use crate::scrub::Scrubber;
use crate::stream::{SseDecoder, SseEvent};
use crate::text::cut;

/// The most of an event that a failure shows, in bytes.
const SHOWN_EVENT: usize = 512;

/// An answer whose body has not been read.
pub(in crate::adapters) struct Answer<'a> {
    pub(super) arrived: Arrived,
    pub(super) limits: &'a Limits,
    pub(super) scrubber: Scrubber,
    /// What breaks it off.
    pub(super) breakage: Breakage,
}

/// An answer with a status that is no success.
pub(in crate::adapters) struct Refusal {
    /// What it means for the run, if nothing can be done.
    failure: Box<RunFailure>,
    pub(in crate::adapters) status: StatusCode,
    /// The body, if it is JSON.
    pub(in crate::adapters) body: Option<Value>,
}

impl From<Refusal> for RunFailure {
    fn from(refusal: Refusal) -> Self {
        *refusal.failure
    }
}

impl Answer<'_> {
    /// The answer, if its status is a success.
    pub(in crate::adapters) async fn accepted(self) -> Result<Self, Refusal> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let received = self.arrived.take_shown(self.limits).await;
        let failure = Box::new(status_failure(&received, &self.scrubber));
        Err(Refusal { failure, status, body: serde_json::from_slice(&received.body).ok() })
    }

    pub(in crate::adapters) fn status(&self) -> StatusCode {
        self.arrived.status
    }

    pub(in crate::adapters) fn headers(&self) -> &HeaderMap {
        &self.arrived.headers
    }

    /// Whether it is a stream of events.
    pub(in crate::adapters) fn is_events(&self) -> bool {
        essence(self.headers()) == "text/event-stream"
    }

    /// The whole body as JSON.
    pub(in crate::adapters) async fn json(self) -> Result<Value, RunFailure> {
        let received = self.arrived.take(self.limits).await.map_err(|error| self.breakage.by(error))?;
        serde_json::from_slice(&received.body)
            .map_err(|error| invalid(&received.place, &format!("it is not JSON: {error}")))
    }

    /// The connection, which is another protocol's from here on.
    pub(in crate::adapters) async fn upgrade(self) -> Result<Upgraded, RunFailure> {
        let place = self.arrived.place.clone();
        let upgraded = self.arrived.into_response().upgrade().await;
        upgraded.map_err(|error| self.breakage.by(NoReply::broken(error, &place)))
    }

    /// The body as events.
    pub(in crate::adapters) fn events(self) -> Events {
        let Self { arrived, limits, scrubber, breakage } = self;
        let (place, decoder) = (arrived.place.clone(), SseDecoder::new(limits.bytes));
        Events {
            body: arrived.into_body(limits),
            place,
            limit: limits.bytes,
            scrubber,
            breakage,
            decoder,
            ready: VecDeque::new(),
        }
    }
}

/// Events in the order in which they arrive.
pub(in crate::adapters) struct Events {
    body: Body,
    place: String,
    /// The most of the body, in bytes.
    limit: usize,
    scrubber: Scrubber,
    breakage: Breakage,
    decoder: SseDecoder,
    ready: VecDeque<SseEvent>,
}

impl Events {
    /// The next event; `None` is the end of the stream.
    pub(in crate::adapters) async fn next(&mut self) -> Result<Option<SseEvent>, RunFailure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let piece = self.body.next().await.map_err(|error| self.breakage.by(error))?;
            let Some(piece) = piece else { return Ok(None) };
            let mut events = Vec::new();
            if self.decoder.push(&piece, &mut events).is_err() {
                return Err(NoReply::TooLarge { place: self.place.clone(), limit: self.limit }.into());
            }
            self.ready.extend(events);
        }
    }

    /// The next event whose data is not empty, as JSON.
    pub(in crate::adapters) async fn next_json(&mut self) -> Result<Option<(String, Value)>, RunFailure> {
        while let Some(event) = self.next().await? {
            if !event.data.trim().is_empty() {
                return self.parse(&event.data).map(|data| Some((event.name, data)));
            }
        }
        Ok(None)
    }

    /// The data of an event as JSON.
    pub(in crate::adapters) fn parse(&self, data: &str) -> Result<Value, RunFailure> {
        serde_json::from_str(data).map_err(|error| {
            // Secrets go before the cut, which could leave a part of one.
            let shown = cut(&self.scrubber.scrub(data), SHOWN_EVENT);
            invalid(&self.place, &format!("an event is not JSON ({error}): {shown}"))
        })
    }

    /// The stream ended before the answer did.
    pub(in crate::adapters) fn broke_off(&self) -> RunFailure {
        let cause = "the stream of events ended before the answer did".to_owned();
        self.breakage.by(NoReply::Interrupted { place: self.place.clone(), cause })
    }
}
