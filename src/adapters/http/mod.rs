//! Targets of type `http`: agents that answer one request per turn.

mod adapter;
mod assembly;
mod attempt;
mod auth;
mod body;
mod caller;
mod condition;
mod content_type;
mod cookies;
mod definition;
mod endpoint;
mod exchange;
mod limits;
pub(super) mod line;
mod no_reply;
mod oauth2;
pub(super) mod path;
mod polling;
mod question;
pub(super) mod request;
mod response;
mod retry;
mod rules;
mod session;
mod status;
mod streaming;
mod templates;
mod tls;
mod tokens;
mod tool_calls;
pub(super) mod transport;
mod tries;
mod usage;
mod way;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use url::Url;

use self::adapter::HttpAdapter;
use self::auth::Auth;
use self::caller::Wired;
use self::endpoint::Endpoint;
use self::oauth2::Grant;
use self::question::HttpQuestions;
use self::tls::Tls;
use self::tokens::Tokens;
use super::codes;
use super::registry::TargetAdapterFactory;
use super::template::Place;
use crate::definitions::{AgentDefinition, Secret};
use crate::egress::{Client, TlsMaterial};
use crate::events::{BaggageKey, ProjectId};
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::ports::{
    AgentRepository, Clock, SecretRepository, SystemClock, TargetAdapter, TargetQuestions, TargetSpec,
};
use crate::http_client::CONNECT_TIMEOUT;
use crate::scrub::{Scrubber, credentials_in, parts_of_url};

/// The type as requests and definitions name it.
pub const KIND: &str = "http";

const SECRET_HINT: &str = "Import the secret into the project, declare it as a secret parameter of the scenario, or correct its name in the \
     agent's definition";
/// What messages call such an agent.
const NAME: &str = "HTTP agent";

/// Makes adapters for HTTP agents. All of them share one client and its connections.
#[derive(Clone)]
pub struct HttpAdapterFactory {
    agents: Arc<dyn AgentRepository>,
    secrets: Arc<dyn SecretRepository>,
    client: Client,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    baggage: Arc<[BaggageKey]>,
}

impl HttpAdapterFactory {
    /// Agents are called through `client`.
    #[must_use]
    pub fn new(agents: Arc<dyn AgentRepository>, secrets: Arc<dyn SecretRepository>, client: Client) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tokens = Arc::new(Tokens::new(Arc::clone(&clock)));
        Self { agents, secrets, client, tokens, clock, baggage: Arc::default() }
    }

    /// Tokens and cookies grow old by `clock`.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { tokens: Arc::new(Tokens::new(Arc::clone(&clock))), clock, ..self }
    }

    /// Agents are told these facts of their run as `baggage`. Without this they are told none.
    #[must_use]
    pub fn telling(self, baggage: Vec<BaggageKey>) -> Self {
        Self { baggage: baggage.into(), ..self }
    }

    /// How the agent is reached. An address that may not be called is known before a word is said; where a name leads is
    /// seen with each call.
    fn wired(
        &self,
        project: &ProjectId,
        endpoint: &Endpoint,
        scrubber: &Scrubber,
    ) -> Result<Wired, RunFailure> {
        for (place, url) in endpoint.constant_urls() {
            self.callable(place, &url)?;
        }
        let connect = endpoint.reply.limits.connect;
        let client = self.client_for(connect, endpoint.tls.as_ref().map(Tls::material).as_ref())?;
        let Auth::OAuth2(credentials) = &endpoint.auth else { return Ok(Wired { client, grant: None }) };
        // The name is the agent's, and no other server's.
        let tls = endpoint.tls.as_ref().map(|tls| TlsMaterial { server_name: None, ..tls.material() });
        let digest = tls.clone().unwrap_or_default().digest();
        let grant = Grant::new(
            project,
            credentials,
            self.client_for(CONNECT_TIMEOUT, tls.as_ref())?,
            digest,
            scrubber.clone(),
        )?;
        self.callable(&credentials.token_url.place(), grant.url())?;
        Ok(Wired { client, grant: Some(grant) })
    }

    fn callable(&self, place: &Place, url: &Url) -> Result<(), RunFailure> {
        self.client.policy().check_url(url).map_err(|refused| {
            RunFailure::definition(code::EGRESS_REFUSED, format!("{place} may not be called: {refused}"))
        })
    }

    fn client_for(&self, connect: Duration, tls: Option<&TlsMaterial>) -> Result<Client, RunFailure> {
        self.client
            .connecting(connect, tls)
            .map_err(|error| RunFailure::definition(code::INVALID_TARGET, format!("tls: {error}")))
    }

    /// The agent of `kind` that `spec` names; messages call such an agent `name`.
    pub(super) async fn definition(
        &self,
        spec: &TargetSpec,
        kind: &str,
        name: &str,
    ) -> Result<AgentDefinition, PlanError> {
        let id = &spec.target.reference_id;
        let found = self.agents.agent(&spec.project.id, id).await?;
        found.filter(|agent| agent.kind.as_str() == kind).ok_or_else(|| {
            RunFailure::definition(code::TARGET_NOT_FOUND, format!("{name} {id} not found")).into()
        })
    }

    /// The adapter for one run of the agent that is at `endpoint`; messages call such an agent `name`.
    async fn adapter(
        &self,
        name: &str,
        agent: &AgentDefinition,
        mut endpoint: Endpoint,
        spec: TargetSpec,
    ) -> Result<HttpAdapter, PlanError> {
        let called = format!("{name} {}", agent.id);
        let of_project = self.secrets.secrets(&spec.project.id).await?;
        let hidden = self.secrets.hidden(&spec.project.id).await?;
        let mut secrets = of_project.clone();
        secrets.extend(spec.secrets);
        endpoint.resolve_secrets(&secrets).map_err(|unknown| {
            RunFailure::definition(codes::SECRET_NOT_FOUND, format!("{called}: {unknown}"))
                .with_hint(SECRET_HINT)
        })?;
        let others = [hidden, endpoint.credentials()].concat();
        let scrubber = scrubber(of_project.values().chain(secrets.values()).chain(&others), agent);
        let wired = self.wired(&spec.project.id, &endpoint, &scrubber).map_err(|mut failure| {
            failure.message = format!("{called}: {}", failure.message);
            scrubber.clean(failure)
        })?;
        let (tokens, clock, baggage) = (self.tokens.clone(), self.clock.clone(), self.baggage.clone());
        let (parameters, questions) = (spec.parameters, None);
        Ok(HttpAdapter { wired, endpoint, parameters, questions, scrubber, tokens, clock, baggage })
    }

    /// Every secret that a run of `spec` may use or hear of.
    async fn secrets_of(&self, spec: &TargetSpec) -> Result<Vec<Secret>, PlanError> {
        let of_project = self.secrets.secrets(&spec.project.id).await?.into_values();
        let hidden = self.secrets.hidden(&spec.project.id).await?;
        Ok(of_project.chain(hidden).chain(spec.secrets.values().cloned()).collect())
    }
}

#[async_trait]
impl TargetAdapterFactory for HttpAdapterFactory {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let agent = self.definition(&spec, KIND, NAME).await?;
        let secrets = self.secrets_of(&spec).await?;
        let questions = questions(&agent, spec.parameters.clone(), secrets.iter())?;
        let adapter = self.adapter(NAME, &agent, endpoint(&agent)?, spec).await?;
        Ok(Box::new(HttpAdapter { questions: Some(questions), ..adapter }))
    }

    async fn questions(&self, spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        let agent = self.definition(&spec, KIND, NAME).await?;
        let secrets = self.secrets_of(&spec).await?;
        Ok(Some(Box::new(questions(&agent, spec.parameters, secrets.iter())?)))
    }

    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        Endpoint::read(agent).map(drop)
    }
}

fn endpoint(agent: &AgentDefinition) -> Result<Endpoint, RunFailure> {
    Endpoint::read(agent).map_err(|message| RunFailure::definition(code::INVALID_TARGET, message))
}

/// What is taken out of them does not depend on which references of the definition can be resolved: a replay may have
/// fewer secrets than the recording had.
fn questions<'a>(
    agent: &AgentDefinition,
    parameters: Map<String, Value>,
    secrets: impl Iterator<Item = &'a Secret>,
) -> Result<HttpQuestions, RunFailure> {
    Ok(HttpQuestions { endpoint: endpoint(agent)?, parameters, scrubber: scrubber(secrets, agent) })
}

fn scrubber<'a>(secrets: impl Iterator<Item = &'a Secret>, agent: &AgentDefinition) -> Scrubber {
    let written = credentials_in(&agent.config);
    let mut values: Vec<&str> = secrets.map(Secret::expose).collect();
    values.extend(written.iter().map(String::as_str));
    let pieces: Vec<String> = values.iter().flat_map(|value| parts_of_url(value)).collect();
    values.extend(pieces.iter().map(String::as_str));
    Scrubber::new(values)
}
