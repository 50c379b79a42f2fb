//! What an HTTP agent is asked in a turn, as a recording keeps it: the same in every run, and without credentials.

use http::Method;
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::request::usual_body;
use crate::adapters::impersonal::of_any_run;
use crate::adapters::scrub::Scrubber;
use crate::adapters::template::{Template, Variables};
use crate::definitions::REDACTED;
use crate::execution::ports::{TargetQuestions, TargetTurn};

/// Words in the names of headers whose values are credentials.
const CREDENTIAL_WORDS: [&str; 8] =
    ["auth", "cookie", "credential", "key", "passw", "secret", "session", "token"];

/// The requests of an agent, with its secrets as the definition refers to them. How a request is authenticated is not
/// in it: that may change without anything else being asked.
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
        let mut variables = Variables::of_turn(turn, &self.parameters);
        variables.bind_mapped(&self.endpoint.mappings, turn);
        let url = self.endpoint.url.render(&variables).ok()?;
        Some(json!({
            "method": self.endpoint.method.as_str(),
            "url": self.scrubber.scrub_answer(&without_user(&url)),
            "headers": self.headers(&variables)?,
            "body": self.body(turn, &variables)?,
        }))
    }

    fn headers(&self, variables: &Variables) -> Option<Vec<String>> {
        let described = |(name, value): &(http::HeaderName, Template)| {
            let is_credential = CREDENTIAL_WORDS.iter().any(|word| name.as_str().contains(word));
            let value = if is_credential { REDACTED.to_owned() } else { value.render(variables).ok()? };
            Some(self.scrubber.scrub_answer(&format!("{name}: {value}")))
        };
        self.endpoint.headers.iter().map(described).collect()
    }

    fn body(&self, turn: &TargetTurn<'_>, variables: &Variables) -> Option<Value> {
        let body = match (&self.endpoint.method, &self.endpoint.body) {
            (&Method::GET, _) => return Some(Value::Null),
            (_, Some(template)) => template.render(variables).ok()?,
            (_, None) => usual_body(turn),
        };
        let body = self.scrubber.scrub_answer(&body);
        Some(serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }
}

/// A URL without user and password. It is looked at as text, because a part of it may be a secret that is not there.
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
    use crate::execution::types::Message;

    fn agent(change: &Value) -> AgentDefinition {
        let mut agent = json!({
            "id": "shop",
            "type": "http",
            "url": "https://me:hunter2@{{ secrets.HOST }}/{{ params.region }}?t={{ threadId }}",
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

    fn asked(run: &str, region: &str, change: &Value) -> Value {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(run).unwrap() };
        let said = Message {
            turn: 1,
            role: MessageRole::User,
            content: "my \"mug\" broke".into(),
            tool_calls: Vec::new(),
            at: datetime!(2026-01-01 0:00 UTC),
            latency_ms: None,
        };
        let questions = HttpQuestions {
            endpoint: Endpoint::read(&agent(change)).unwrap(),
            parameters: json!({ "region": region }).as_object().unwrap().clone(),
            scrubber: Scrubber::new(["hunter4"]),
        };
        let transcript: Arc<[Message]> = [said].into();
        let turn = TargetTurn { run: &run, turn: 1, transcript: &transcript, span: &AnySpan };
        questions.asked(&turn).unwrap()
    }

    #[test]
    fn what_is_asked_is_the_same_in_every_run_and_holds_no_credential() {
        let (one, other) = (asked("one", "eu", &json!({})), asked("two", "eu", &json!({})));
        assert_eq!(one, other);
        assert_eq!(one["url"], "https://{{ secrets.HOST }}/eu?t=any-run");
        assert_eq!(one["body"], json!({ "q": "my \"mug\" broke", "thread": "any-run", "literal": REDACTED }));
        let text = one.to_string();
        for credential in ["hunter", "k-123456", "me:"] {
            assert!(!text.contains(credential), "{text}");
        }
    }

    #[test]
    fn whatever_else_would_be_asked_is_told() {
        let as_it_is = asked("one", "eu", &json!({}));
        assert_ne!(asked("one", "us", &json!({})), as_it_is);
        for change in [
            json!({ "url": "https://elsewhere/{{ params.region }}" }),
            json!({ "method": "put" }),
            json!({ "headers": [] }),
            json!({ "bodyTemplate": "{\"question\": \"{{ input }}\"}" }),
            json!({ "bodyTemplate": null }),
        ] {
            assert_ne!(asked("one", "eu", &change), as_it_is, "{change}");
        }
    }
}
