//! One turn of an agent: what was said, and how the agent is asked.

use std::sync::{Mutex, PoisonError};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::again::Tries;
use super::answer::Answer;
use crate::adapters::codes;
use crate::adapters::http::adapter::HttpAdapter;
use crate::adapters::http::attempt::Failed;
use crate::adapters::http::caller::Caller;
use crate::adapters::http::no_reply::NoReply;
use crate::adapters::http::request::{IDEMPOTENCY_KEY, Outgoing};
use crate::adapters::http::response;
use crate::adapters::http::retry::Retries;
use crate::adapters::http::templates::is_private;
use crate::adapters::http::transport::{Arrived, shown};
use crate::adapters::template::Variables;
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};
use crate::execution::limits::Throttled;
use crate::execution::ports::{TargetReply, TargetTurn};
use crate::scrub::Scrubber;
use crate::text::cut;

/// What is taken for an answer.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// The most of an agent's words that a failure shows, in bytes.
const SHOWN_WORDS: usize = 2048;

/// One turn.
pub(in crate::adapters) struct Call<'a> {
    pub(in crate::adapters) turn: &'a TargetTurn<'a>,
    adapter: &'a HttpAdapter,
    caller: tokio::sync::Mutex<Caller<'a>>,
    pub(super) tries: Tries,
    /// Knows what came to light in this turn, too.
    scrubber: Mutex<Scrubber>,
}

impl<'a> Call<'a> {
    pub(super) fn new(adapter: &'a HttpAdapter, turn: &'a TargetTurn<'a>) -> Result<Self, RunFailure> {
        let caller = adapter.caller(None, turn.admission)?;
        let scrubber = Mutex::new(caller.scrubber().clone());
        let tries = Tries::until(caller.deadline());
        Ok(Self { turn, adapter, caller: tokio::sync::Mutex::new(caller), tries, scrubber })
    }

    /// What templates of the definition read.
    pub(in crate::adapters) fn variables(&self) -> Variables {
        self.adapter.variables(self.turn, &Map::new())
    }

    fn empty(&self) -> Result<Outgoing, RunFailure> {
        let filling = self.adapter.filling(self.turn, &self.turn.turn.to_string(), &Map::new());
        filling.build(&self.adapter.endpoint.request)
    }

    /// The request that asks the agent, to the definition's URL. Sent again it has the same idempotency key.
    pub(in crate::adapters) fn asking(&self, body: &Value) -> Result<Outgoing, RunFailure> {
        let mut request = self.empty()?;
        request.body = Some(body.to_string());
        let json = HeaderValue::from_static("application/json");
        request.headers.entry(CONTENT_TYPE).or_insert(json);
        request.headers.entry(ACCEPT).or_insert(ACCEPTED);
        Ok(request)
    }

    /// A request that only goes before or after the one that asks: it must not be taken for the same.
    pub(in crate::adapters) fn aside(&self, body: &Value) -> Result<Outgoing, RunFailure> {
        let mut request = self.asking(body)?;
        if !self.adapter.endpoint.request.headers.iter().any(|(name, _)| *name == IDEMPOTENCY_KEY) {
            request.headers.remove(IDEMPOTENCY_KEY);
            request.repeatable = false;
        }
        Ok(request)
    }

    /// A request that reads something.
    pub(in crate::adapters) fn reading(&self) -> Result<Outgoing, RunFailure> {
        let mut request = self.aside(&Value::Null)?;
        (request.method, request.body, request.repeatable) = (Method::GET, None, true);
        request.headers.remove(CONTENT_TYPE);
        Ok(request)
    }

    /// Sends `request`, again where the definition says so, and waits for its answer to begin.
    pub(in crate::adapters) async fn send(&self, request: Outgoing) -> Result<Answer<'a>, RunFailure> {
        let sent = self.ask(&request).await;
        let scrubber = self.scrubber();
        let arrived = sent.map_err(|failed| failed.into_failure(&scrubber))?;
        let (limits, breakage) = (&self.adapter.endpoint.reply.limits, self.tries.breakage.clone());
        Ok(Answer { arrived, limits, scrubber, breakage })
    }

    /// Sends `request` once.
    pub(super) async fn once(&self, request: &Outgoing) -> Result<Arrived, Failed> {
        let mut caller = self.caller.lock().await;
        let sent = caller.send(request).await;
        self.learn(caller.scrubber().clone());
        sent
    }

    /// Waits for the right to ask once more, and says until when.
    pub(super) async fn admitted_again(&self, throttled: Option<Throttled>) -> Instant {
        let mut caller = self.caller.lock().await;
        caller.admitted_again(throttled).await;
        caller.deadline()
    }

    /// When the agent is asked again.
    pub(super) fn retries(&self) -> &Retries {
        &self.adapter.endpoint.reply.retries
    }

    /// Lets no error, event or span show `secret`.
    pub(in crate::adapters) fn keep_secret(&self, secret: &str) {
        self.learn(self.scrubber().with([secret]));
    }

    fn learn(&self, more: Scrubber) {
        *self.scrubber.lock().unwrap_or_else(PoisonError::into_inner) = more;
    }

    fn scrubber(&self) -> Scrubber {
        self.scrubber.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether requests carry what only the definition's own origin may see.
    pub(in crate::adapters) fn carries_credentials(&self) -> bool {
        let endpoint = &self.adapter.endpoint;
        endpoint.request.headers.iter().any(|(name, _)| is_private(name))
            || !endpoint.credentials().is_empty()
    }

    /// The most of an answer that is taken in, in bytes.
    pub(in crate::adapters) fn most_bytes(&self) -> usize {
        self.adapter.endpoint.reply.limits.bytes
    }

    /// The definition's URL without what may be a credential in it.
    pub(in crate::adapters) fn place(&self) -> String {
        self.empty().map_or_else(
            |_| "the agent".to_owned(),
            |request| shown(&self.adapter.wired.client, &request.url),
        )
    }

    /// The reply without secrets, if it says anything: an agent that echoes its credentials must not put them into events and spans.
    pub(in crate::adapters) fn settle(
        &self,
        reply: Result<TargetReply, RunFailure>,
    ) -> Result<TargetReply, RunFailure> {
        let scrubber = self.scrubber();
        let said = reply.and_then(|reply| {
            let is_empty = reply.content.trim().is_empty() && reply.tool_calls.is_empty();
            if is_empty { Err(response::empty(&self.place())) } else { Ok(reply) }
        });
        said.map(|reply| scrubber.clean_reply(reply)).map_err(|failure| scrubber.clean(self.told(failure)))
    }

    /// The failure without secrets.
    pub(in crate::adapters) fn clean(&self, failure: RunFailure) -> RunFailure {
        self.scrubber().clean(failure)
    }

    /// The agent did not answer in time.
    pub(in crate::adapters) fn too_slow(&self) -> RunFailure {
        NoReply::Timeout { place: self.place(), limit: self.adapter.endpoint.reply.limits.total }.into()
    }

    /// The agent says more than is taken in.
    pub(in crate::adapters) fn too_large(&self) -> RunFailure {
        NoReply::TooLarge { place: self.place(), limit: self.most_bytes() }.into()
    }

    /// The connection broke.
    pub(in crate::adapters) fn interrupted(&self, cause: &str) -> RunFailure {
        self.tries.breakage.by(NoReply::Interrupted { place: self.place(), cause: cause.to_owned() })
    }

    /// The agent says, in its protocol's words, that it failed.
    pub(in crate::adapters) fn agent_error(&self, words: &str) -> RunFailure {
        response::reported(&self.place(), words, &self.scrubber())
    }

    /// The agent's answer is not what its protocol says.
    pub(in crate::adapters) fn invalid(&self, problem: &str) -> RunFailure {
        response::invalid(&self.place(), &self.shown(problem))
    }

    /// What is looked for is not where the definition says.
    pub(in crate::adapters) fn nothing_at(&self, path: &str) -> RunFailure {
        let message = format!("{path} matches nothing in the reply of {}", self.place());
        RunFailure::new(codes::OUTPUT_PATH_NO_MATCH, Attribution::Target, message)
            .with_hint("Set outputPath in the agent's definition to where its words are")
    }

    /// The definition leads to what cannot be done.
    pub(in crate::adapters) fn unusable(&self, problem: &str) -> RunFailure {
        RunFailure::definition(code::INVALID_TARGET, self.shown(problem))
    }

    /// Secrets go before the cut, which could leave a part of one.
    pub(in crate::adapters) fn shown(&self, text: &str) -> String {
        cut(&self.scrubber().scrub(text), SHOWN_WORDS)
    }
}

/// `url` with more path segments, unless it ends in them. A query stays.
pub(in crate::adapters) fn below(url: &mut Url, segments: &[&str]) {
    let there = url.path().trim_end_matches('/').ends_with(&format!("/{}", segments.join("/")));
    if let Ok(mut path) = url.path_segments_mut()
        && !there
    {
        path.pop_if_empty().extend(segments);
    }
}
