//! Agents that take a request in at once and answer later.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::condition::{Condition, ConditionDefinition};
use super::path::{ReplyPath, words};
use super::request::{IDEMPOTENCY_KEY, Outgoing, is_dots};
use super::transport::Received;
use crate::adapters::template::{Escape, Place, Template, UnknownSecret, Variables};
use crate::definitions::Secrets;
use crate::egress::Redirects;

/// The pause before each look where the definition says nothing, in seconds.
const DEFAULT_INTERVAL: f64 = 1.0;
/// The shortest pause, in seconds: an agent is not to be run down.
const SHORTEST_INTERVAL: f64 = 0.1;
/// The longest pause, in seconds: an answer that is there should not wait for longer.
const LONGEST_INTERVAL: f64 = 300.0;
/// What begins a `JSONPath`.
const PATH_SIGN: char = '$';
/// What templates call the first answer.
const REPLY: &str = "reply";

/// What a definition says of answers that come later.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PollDefinition {
    /// Where to look: a `JSONPath` into the first answer, or a template that can read it as `reply`. Without it, the
    /// `Location` header says it.
    #[serde(default)]
    url: Option<String>,
    /// The pause before each look, in seconds.
    #[serde(default)]
    interval_seconds: Option<f64>,
    /// What an answer says when it is the answer. Without it, any status but 202 does.
    #[serde(default)]
    until: Option<ConditionDefinition>,
    /// What an answer says when there will be none.
    #[serde(default)]
    failed: Option<ConditionDefinition>,
}

/// How to look for an answer that comes later.
pub(super) struct Poll {
    place: PollPlace,
    interval: Duration,
    until: Option<Condition>,
    failed: Option<Condition>,
}

enum PollPlace {
    Location,
    Path(ReplyPath),
    Template(Box<Template>),
}

/// How an answer stands.
pub(super) enum Standing {
    /// It is the answer.
    Final,
    /// The answer comes later.
    Pending,
    /// There will be none, in the agent's words.
    Failed(String),
    /// It should be JSON and is not.
    NotJson(serde_json::Error),
}

impl Poll {
    /// Reads what a definition says.
    pub(super) fn read(definition: &PollDefinition) -> Result<Self, String> {
        let condition = |field, definition: &Option<ConditionDefinition>| {
            definition.as_ref().map(|definition| Condition::parse(field, definition)).transpose()
        };
        let seconds = definition.interval_seconds.unwrap_or(DEFAULT_INTERVAL);
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&seconds) {
            return Err(format!(
                "poll.intervalSeconds: {seconds} is not {SHORTEST_INTERVAL} to {LONGEST_INTERVAL}"
            ));
        }
        Ok(Self {
            place: place(definition.url.as_deref().map(str::trim).unwrap_or_default())?,
            interval: Duration::from_secs_f64(seconds),
            until: condition("poll.until", &definition.until)?,
            failed: condition("poll.failed", &definition.failed)?,
        })
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        match &mut self.place {
            PollPlace::Template(template) => template.resolve_secrets(secrets),
            PollPlace::Location | PollPlace::Path(_) => Ok(()),
        }
    }

    /// Where it is looked in every run, if that is a whole URL that is the same in all of them.
    pub(super) fn constant_url(&self) -> Option<(&Place, Url)> {
        let PollPlace::Template(template) = &self.place else { return None };
        let text = template.reads_nothing().then(|| template.render(&Variables::none()).ok()).flatten()?;
        Some((template.place(), Url::parse(&text).ok()?))
    }

    /// How `received` stands.
    pub(super) fn standing(&self, received: &Received) -> Standing {
        let reply = serde_json::from_slice::<Value>(&received.body);
        let later = received.status == StatusCode::ACCEPTED;
        if let Some(error) = self.failed.as_ref().zip(reply.as_ref().ok()).and_then(|(c, r)| c.matched(r)) {
            return Standing::Failed(words(error));
        }
        match (&self.until, reply) {
            (Some(until), Ok(reply)) if until.holds(&reply) => Standing::Final,
            (Some(_), Ok(_)) => Standing::Pending,
            (Some(_), Err(error)) if !later => Standing::NotJson(error),
            (_, _) if later => Standing::Pending,
            (_, _) => Standing::Final,
        }
    }

    /// The pause before the next look, which an agent may ask to be longer.
    pub(super) fn pause(&self, asked: Option<Duration>) -> Duration {
        self.interval.max(asked.unwrap_or_default())
    }

    /// Where to look for what `received` promises. `before` is where it was looked for last.
    pub(super) fn url(
        &self,
        received: &Received,
        before: Option<&Url>,
        variables: impl FnOnce() -> Variables,
    ) -> Result<Url, String> {
        let text = match (&self.place, before) {
            (PollPlace::Location, before) => match (received.headers.get(LOCATION), before) {
                (Some(location), _) => location.to_str().map_err(|error| error.to_string())?.to_owned(),
                (None, Some(before)) => return Ok(before.clone()),
                (None, None) => return Err("its answer has no Location header".to_owned()),
            },
            (_, Some(before)) => return Ok(before.clone()),
            (PollPlace::Path(path), None) => found(path, received)?,
            (PollPlace::Template(template), None) => rendered(template, received, variables())?,
        };
        received.url.join(&text).map_err(|error| format!("where its answer comes later is no URL: {error}"))
    }
}

fn place(url: &str) -> Result<PollPlace, String> {
    Ok(if url.is_empty() {
        PollPlace::Location
    } else if url.starts_with(PATH_SIGN) {
        PollPlace::Path(ReplyPath::parse("poll.url", url)?)
    } else {
        let template = Template::compile(Place::PollUrl, url, Escape::UrlComponent);
        PollPlace::Template(Box::new(template.map_err(|error| error.to_string())?))
    })
}

fn found(path: &ReplyPath, received: &Received) -> Result<String, String> {
    let url = path.first(&json(received)?).map(words).filter(|url| !url.trim().is_empty());
    url.ok_or_else(|| format!("{path} matches nothing in its answer"))
}

/// What the agent says of itself fills in components of the URL, and never leads out of them.
fn rendered(template: &Template, received: &Received, mut variables: Variables) -> Result<String, String> {
    variables.bind_json(REPLY, &serde_json::from_slice(&received.body).unwrap_or_default());
    let url = template.render(&variables).map_err(|error| error.to_string())?;
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if !template.is_constant() && path.split(['/', '\\']).any(is_dots) {
        return Err("poll.url has a path segment of dots only".to_owned());
    }
    Ok(url)
}

fn json(received: &Received) -> Result<Value, String> {
    serde_json::from_slice(&received.body).map_err(|error| format!("its answer is not JSON: {error}"))
}

/// The request that looks at `url` for the answer to `first`. What proves who asks stays with the origin that was asked.
pub(super) fn look(first: &Outgoing, url: Url) -> Outgoing {
    let is_home = url.origin() == first.url.origin();
    let headers = if is_home { own(&first.headers) } else { foreign(&first.headers) };
    Outgoing {
        method: Method::GET,
        url,
        headers,
        body: None,
        home: first.home.clone(),
        repeatable: true,
        takes_token: is_home,
        redirects: Redirects::Follow,
    }
}

/// Without what speaks of a body or of a repeated question: a look is neither.
fn own(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONTENT_TYPE, IDEMPOTENCY_KEY] {
        headers.remove(name);
    }
    headers
}

fn foreign(headers: &HeaderMap) -> HeaderMap {
    headers.get(ACCEPT).map(|accept| (ACCEPT, accept.clone())).into_iter().collect()
}
