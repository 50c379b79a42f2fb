//! One turn of an agent: what was said, and how the agent is reached.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use crate::adapters::codes;
use crate::adapters::http::endpoint::Endpoint;
use crate::adapters::http::request::{self, IDEMPOTENCY_KEY, Outgoing};
use crate::adapters::http::response::SHOWN_BODY;
use crate::adapters::http::transport::{NoReply, no_answer, no_reply, origin_and_path};
use crate::adapters::scrub::Scrubber;
use crate::adapters::template::Variables;
use crate::egress::{Client, Redirects};
use crate::events::Attribution;
use crate::execution::failure::RunFailure;
use crate::execution::ports::{TargetReply, TargetTurn};
use crate::text::cut;

/// What every preset takes for an answer.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// One turn.
pub(super) struct Call<'a> {
    pub(super) client: &'a Client,
    pub(super) endpoint: &'a Endpoint,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) scrubber: &'a Scrubber,
    pub(super) turn: &'a TargetTurn<'a>,
}

impl Call<'_> {
    /// What templates of the definition read.
    pub(super) fn variables(&self) -> Variables {
        let mut variables = Variables::of_turn(self.turn, self.parameters);
        variables.bind_mapped(&self.endpoint.mappings, self.turn);
        variables
    }

    /// The request that asks the agent, to the definition's URL. Sent again it has the same idempotency key.
    pub(super) fn asking(&self, body: &Value) -> Result<Outgoing, RunFailure> {
        let mut request = request::build(self.endpoint, self.turn, self.parameters)?;
        request.body = Some(body.to_string());
        if !request.headers.contains_key(ACCEPT) {
            request.headers.insert(ACCEPT, ACCEPTED);
        }
        Ok(request)
    }

    /// A request that only goes before or after the one that asks: it must not be taken for the same.
    pub(super) fn aside(&self, body: &Value) -> Result<Outgoing, RunFailure> {
        let mut request = self.asking(body)?;
        if !self.endpoint.headers.iter().any(|(name, _)| *name == IDEMPOTENCY_KEY) {
            request.headers.remove(IDEMPOTENCY_KEY);
        }
        Ok(request)
    }

    /// A request that reads something.
    pub(super) fn reading(&self) -> Result<Outgoing, RunFailure> {
        let mut request = self.aside(&Value::Null)?;
        (request.method, request.body) = (Method::GET, None);
        request.headers.remove(CONTENT_TYPE);
        Ok(request)
    }

    /// Sends `request`.
    pub(super) async fn send(&self, request: Outgoing) -> Result<Answer<'_>, RunFailure> {
        let place = origin_and_path(&request.url);
        let mut builder = self.client.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let request = builder.build().map_err(|error| no_reply(error, &place))?;
        let answer = self.client.execute(request, Redirects::Follow).await;
        let response = answer.map_err(|error| no_answer(error, &place))?;
        Ok(Answer { place, response, scrubber: self.scrubber })
    }

    /// Whether requests carry what only the definition's own origin may see.
    pub(super) fn carries_credentials(&self) -> bool {
        !self.endpoint.headers.is_empty() || !self.endpoint.credentials().is_empty()
    }

    /// The definition's URL without what may be a credential in it.
    pub(super) fn place(&self) -> String {
        let request = request::build(self.endpoint, self.turn, self.parameters);
        request.map_or_else(|_| "the agent".to_owned(), |request| origin_and_path(&request.url))
    }

    /// The agent did not answer in time.
    pub(super) fn too_slow(&self) -> RunFailure {
        NoReply::Timeout { place: self.place(), seconds: self.endpoint.timeout.as_secs() }.into()
    }

    /// The agent said, in its protocol's words, that it failed.
    pub(super) fn agent_error(&self, words: &str) -> RunFailure {
        let message = format!("{} answered with an error: {}", self.place(), shown(self.scrubber, words));
        RunFailure::new(codes::AGENT_ERROR, Attribution::Target, message)
    }

    /// The agent's answer is not what its protocol says.
    pub(super) fn invalid(&self, problem: &str) -> RunFailure {
        let message =
            format!("the reply of {} cannot be read: {}", self.place(), shown(self.scrubber, problem));
        RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
    }
}

/// Secrets go before the cut, which could leave a part of one.
pub(super) fn shown(scrubber: &Scrubber, text: &str) -> String {
    cut(&scrubber.scrub(text), SHOWN_BODY)
}

/// A reply of words alone.
pub(super) fn words(content: impl Into<String>) -> TargetReply {
    TargetReply { content: content.into(), ..TargetReply::default() }
}

/// `url` with more path segments, unless it ends in them. A query stays.
pub(super) fn below(url: &mut Url, segments: &[&str]) {
    let there = url.path().trim_end_matches('/').ends_with(&format!("/{}", segments.join("/")));
    if let Ok(mut path) = url.path_segments_mut()
        && !there
    {
        path.pop_if_empty().extend(segments);
    }
}
