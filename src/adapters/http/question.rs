//! What an HTTP agent is asked in a turn, as a recording keeps it: the same in every run, and without credentials.

use http::Method;
use serde_json::{Map, Value, json};

use super::endpoint::{CAPTURED, Endpoint};
use super::request::usual_body;
use super::session::SessionPlan;
use crate::adapters::impersonal::of_any_run;
use crate::adapters::template::{Template, Variables};
use crate::definitions::REDACTED;
use crate::execution::ports::{TargetQuestions, TargetTurn};
use crate::scrub::Scrubber;

/// Words in the names of headers and of parameters in a query whose values are credentials.
const CREDENTIAL_WORDS: [&str; 8] =
    ["auth", "cookie", "credential", "key", "passw", "secret", "session", "token"];

/// The requests of an agent, with its secrets as the definition refers to them. How a request is authenticated is not
/// in it, nor is its session: both may change without anything else being asked.
pub(super) struct HttpQuestions {
    /// Its references to secrets are not resolved.
    pub(super) endpoint: Endpoint,
    pub(super) parameters: Map<String, Value>,
    pub(super) scrubber: Scrubber,
}

impl TargetQuestions for HttpQuestions {
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        of_any_run(turn, |turn| self.described(turn))
    }
}

impl HttpQuestions {
    /// `None` if a template cannot be filled in: then nothing is asked.
    fn described(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        let request = &self.endpoint.request;
        let variables = self.endpoint.variables(turn, &self.parameters, &self.captured());
        let query = request.query.iter().map(|(name, value)| (name.as_str(), value));
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value));
        Some(json!({
            "method": request.method.as_str(),
            "url": self.scrubber.scrub_answer(&without_credentials(&request.url.render(&variables).ok()?)),
            "query": self.pairs(query, "=", &variables)?,
            "headers": self.pairs(headers, ": ", &variables)?,
            "body": self.body(turn, &variables)?,
        }))
    }

    /// Each value that is captured stands for itself: it is another in every session, and may be a credential.
    fn captured(&self) -> Map<String, Value> {
        let names = self.endpoint.session.iter().flat_map(SessionPlan::captured_names);
        names.map(|name| (name.to_owned(), format!("{CAPTURED}.{name}").into())).collect()
    }

    fn pairs<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a str, &'a Template)>,
        between: &str,
        variables: &Variables,
    ) -> Option<Vec<String>> {
        let described = |(name, value): (&str, &Template)| {
            let value = if is_telling(name) { REDACTED.to_owned() } else { value.render(variables).ok()? };
            Some(self.scrubber.scrub_answer(&format!("{name}{between}{value}")))
        };
        pairs.map(described).collect()
    }

    fn body(&self, turn: &TargetTurn<'_>, variables: &Variables) -> Option<Value> {
        let request = &self.endpoint.request;
        let body = match (&request.method, &request.body) {
            (&Method::GET, _) => return Some(Value::Null),
            (_, Some(template)) => template.render(variables).ok()?,
            (_, None) => usual_body(turn),
        };
        let body = self.scrubber.scrub_answer(&body);
        Some(serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
}

/// A URL without user, password and the values of telling names in its query. It is looked at as text, because a part of
/// it may be a secret that is not there.
fn without_credentials(url: &str) -> String {
    let url = without_user(url);
    let Some((path, query)) = url.split_once('?') else { return url };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_telling(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::macros::datetime;

    use super::*;
    use crate::adapters::impersonal::AnySpan;
    use crate::definitions::AgentDefinition;
    use crate::events::{MessageRole, ProjectId, RunId, RunKey};
    use crate::execution::limits::Admission;
    use crate::execution::types::{Message, Session};

    fn agent(change: &Value) -> AgentDefinition {
        let mut agent = json!({
            "id": "shop",
            "type": "http",
            "url": "https://me:hunter2@{{ secrets.HOST }}/{{ params.region }}?t={{ threadId }}&api_key=hunter5",
            "query": [
                { "key": "region", "value": "{{ params.region }} & {{ secrets.HOST }}" },
                { "key": "access_token", "value": "hunter6" },
            ],
            "headers": [
                { "key": "X-Api-Key", "value": "k-123456" },
                { "key": "X-Region", "value": "{{ params.region }} {{ secrets.HOST }} {{ traceparent }}" },
            ],
            "auth": { "type": "bearer", "token": "hunter3" },
            "bodyTemplate": "{\"q\": \"{{ input }}\", \"thread\": \"{{ threadId }}\", \"literal\": \"hunter4\"}",
        });
        agent.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(agent).unwrap()
    }

    fn line() -> Message {
        Message {
            turn: 1,
            role: MessageRole::User,
            content: "my \"mug\" broke".into(),
            tool_calls: Vec::new(),
            at: datetime!(2026-01-01 0:00 UTC),
            latency_ms: None,
        }
    }

    fn asked(run: &str, region: &str, change: &Value) -> Value {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(run).unwrap() };
        let questions = HttpQuestions {
            endpoint: Endpoint::read(&agent(change)).unwrap(),
            parameters: json!({ "region": region }).as_object().unwrap().clone(),
            scrubber: Scrubber::new(["hunter4"]),
        };
        let transcript: Arc<[Message]> = [line()].into();
        let (session, admission) =
            (Session::new(json!({ "captured": { "thread": run.run } })), Admission::default());
        let session = Some(&session);
        let turn = TargetTurn {
            run: &run,
            turn: 1,
            transcript: &transcript,
            span: &AnySpan,
            session,
            admission,
            so_far: None,
        };
        questions.asked(&turn).unwrap()
    }

    #[test]
    fn what_is_asked_is_the_same_in_every_run_and_holds_no_credential() {
        let (one, other) = (asked("one", "eu", &json!({})), asked("two", "eu", &json!({})));
        assert_eq!(one, other);
        assert_eq!(one["url"], format!("https://{{{{ secrets.HOST }}}}/eu?t=any-run&api_key={REDACTED}"));
        let token = format!("access_token={REDACTED}");
        assert_eq!(one["query"], json!(["region=eu & {{ secrets.HOST }}", token]));
        assert_eq!(one["body"], json!({ "q": "my \"mug\" broke", "thread": "any-run", "literal": REDACTED }));
        let text = one.to_string();
        for credential in ["hunter", "k-123456", "me:"] {
            assert!(!text.contains(credential), "{text}");
        }
    }

    #[test]
    fn what_a_session_has_captured_stands_for_itself() {
        let change = json!({
            "url": "https://shop/{{ captured.thread }}",
            "headers": [{ "key": "X-Thread", "value": "{{ captured.thread }}" }],
            "bodyTemplate": "{\"thread\": \"{{ captured.thread }}\"}",
            "session": { "start": { "url": "https://shop/new", "capture": { "thread": "$.id" } } },
        });
        let asked = asked("one", "eu", &change);
        assert_eq!(asked["url"], "https://shop/captured.thread");
        assert_eq!(asked["headers"], json!(["x-thread: captured.thread"]));
        assert_eq!(asked["body"], json!({ "thread": "captured.thread" }));
    }

    #[test]
    fn whatever_else_would_be_asked_is_told() {
        let as_it_is = asked("one", "eu", &json!({}));
        assert_ne!(asked("one", "us", &json!({})), as_it_is);
        for change in [
            json!({ "url": "https://elsewhere/{{ params.region }}" }),
            json!({ "method": "put" }),
            json!({ "headers": [] }),
            json!({ "query": [] }),
            json!({ "bodyTemplate": "{\"question\": \"{{ input }}\"}" }),
            json!({ "bodyTemplate": null }),
        ] {
            assert_ne!(asked("one", "eu", &change), as_it_is, "{change}");
        }
    }
}
