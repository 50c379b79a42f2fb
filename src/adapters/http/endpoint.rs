//! An HTTP agent whose definition was read and found to be usable.

use serde_json::{Map, Value};
use url::Url;

use super::auth::Auth;
use super::definition::HttpDefinition;
use super::polling::Poll;
use super::rules::ReplyRules;
use super::session::SessionPlan;
use super::templates::RequestTemplates;
use super::tls::Tls;
use crate::adapters::template::{Place, UnknownSecret, Variables};
use crate::definitions::{AgentDefinition, FieldMappings, Secret, Secrets, variable_name_problem};
use crate::execution::ports::{OnUnknown, TargetTurn};

/// The variable that holds what the session has captured.
pub(super) const CAPTURED: &str = "captured";

/// An HTTP agent, ready to be asked.
pub(super) struct Endpoint {
    /// The request of one turn.
    pub(super) request: RequestTemplates,
    /// How a request proves where it comes from.
    pub(super) auth: Auth,
    /// Certificates of its own.
    pub(super) tls: Option<Tls>,
    /// What begins and ends its part in a run.
    pub(super) session: Option<SessionPlan>,
    /// Variables of its templates, and what each stands for.
    pub(super) mappings: FieldMappings,
    /// What is made of its answers.
    pub(super) reply: ReplyRules,
    /// What to do about a request whose end is unknown.
    pub(super) on_unknown: OnUnknown,
}

impl Endpoint {
    /// Reads a definition. An error names the agent and the place in it.
    pub(super) fn read(agent: &AgentDefinition) -> Result<Self, String> {
        HttpDefinition::read(agent)
            .and_then(|definition| Self::from_definition(&definition))
            .map_err(|problem| format!("HTTP agent {}: {problem}", agent.id))
    }

    /// Checks what was read.
    pub(super) fn from_definition(definition: &HttpDefinition) -> Result<Self, String> {
        let request = RequestTemplates::read(&definition.request(), None)?;
        Ok(Self {
            auth: Auth::read(&definition.auth)?,
            tls: definition.tls.as_ref().map(Tls::read).transpose()?,
            session: session(definition)?,
            mappings: readable(&definition.field_mappings)?,
            reply: ReplyRules::read(definition, &request.method)?,
            request,
            on_unknown: definition.on_unknown.into(),
        })
    }

    /// Makes every `{{ secrets.NAME }}` that may be one stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        self.request.resolve_secrets(secrets)?;
        self.reply.resolve_secrets(secrets)?;
        self.auth.resolve_secrets(secrets)?;
        self.tls.iter_mut().try_for_each(|tls| tls.resolve_secrets(secrets))?;
        self.session.iter_mut().try_for_each(|session| session.resolve_secrets(secrets))
    }

    /// What its templates can read in a turn of a session that has `captured` these values.
    pub(super) fn variables(
        &self,
        turn: &TargetTurn<'_>,
        parameters: &Map<String, Value>,
        captured: &Map<String, Value>,
    ) -> Variables {
        let mut variables = Variables::of_turn(turn, parameters);
        variables.bind_json(CAPTURED, &Value::Object(captured.clone()));
        variables.bind_mapped(&self.mappings, turn);
        variables
    }

    /// URLs that are the same in every run, each with the place that it has in the definition.
    pub(super) fn constant_urls(&self) -> impl Iterator<Item = (&Place, Url)> {
        let steps = self.session.iter().flat_map(|session| session.start.iter().chain(&session.end));
        let requests = std::iter::once(&self.request).chain(steps);
        let asked = requests.filter_map(|request| Some((request.url.place(), request.constant_url()?)));
        asked.chain(self.reply.poll.as_ref().and_then(Poll::constant_url))
    }

    /// What no error may show, beside the project's secrets.
    pub(super) fn credentials(&self) -> Vec<Secret> {
        let key = self.tls.as_ref().and_then(|tls| tls.material().identity).map(|(_, key)| key);
        self.auth.credentials().into_iter().chain(key).collect()
    }
}

/// Variables that no template could read are a mistake.
fn readable(mappings: &FieldMappings) -> Result<FieldMappings, String> {
    let wrong = mappings.keys().find_map(|name| Some((name, variable_name_problem(name)?)));
    match wrong {
        Some((name, problem)) => Err(format!("the variable '{name}' in fieldMappings {problem}")),
        None => Ok(mappings.clone()),
    }
}

fn session(definition: &HttpDefinition) -> Result<Option<SessionPlan>, String> {
    let session = definition.session.as_ref();
    session.map(|session| SessionPlan::read(session, definition.secrets_in_body)).transpose()
}

/// A blank text is none.
pub(super) fn written(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::TargetType;

    #[test]
    fn a_variable_that_no_template_can_read_is_refused() {
        let read = |name: &str| {
            let config = json!({ "url": "http://127.0.0.1/", "fieldMappings": { name: { "type": "value", "value": 1 } } });
            let config = config.as_object().unwrap().clone();
            let kind = TargetType::parse("http").unwrap();
            Endpoint::read(&AgentDefinition { id: "shop".into(), kind, limits: None, config }).map(drop)
        };
        assert_eq!(read("mood"), Ok(()));
        for name in ["a b", "secrets", "2a"] {
            let problem = read(name).unwrap_err();
            assert!(
                problem.contains(&format!("the variable '{name}' in fieldMappings cannot be read")),
                "{problem}"
            );
        }
    }
}
