//! Targets of type `http`: agents that answer one request per turn.

mod adapter;
mod auth;
mod cookies;
mod definition;
mod endpoint;
mod oauth2;
mod output;
mod request;
mod response;
mod session;
mod templates;
mod tls;
mod tokens;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use url::Url;

use self::adapter::{HttpAdapter, Wired};
use self::auth::Auth;
use self::endpoint::Endpoint;
use self::oauth2::Grant;
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
    AgentRepository, Clock, SecretRepository, SystemClock, TargetAdapter, TargetSpec,
};
use crate::scrub::{Scrubber, credentials_in, parts_of_url};

/// The type as requests and definitions name it.
pub const KIND: &str = "http";

/// Makes adapters for HTTP agents. All of them share one client and its connections.
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
        let client = self.client_for(endpoint.tls.as_ref().map(Tls::material))?;
        let Auth::OAuth2(credentials) = &endpoint.auth else { return Ok(Wired { client, grant: None }) };
        // The name is the agent's, and no other server's.
        let tls = endpoint.tls.as_ref().map(|tls| TlsMaterial { server_name: None, ..tls.material() });
        let digest = tls.clone().unwrap_or_default().digest();
        let grant = Grant::new(project, credentials, self.client_for(tls)?, digest, scrubber.clone())?;
        self.callable(&credentials.token_url.place(), grant.url())?;
        Ok(Wired { client, grant: Some(grant) })
    }

    fn adapter(
        &self,
        wired: Wired,
        endpoint: Endpoint,
        parameters: Map<String, Value>,
        scrubber: Scrubber,
    ) -> HttpAdapter {
        let (tokens, clock, baggage) = (self.tokens.clone(), self.clock.clone(), self.baggage.clone());
        HttpAdapter { wired, endpoint, parameters, scrubber, tokens, clock, baggage }
    }

    fn callable(&self, place: &Place, url: &Url) -> Result<(), RunFailure> {
        self.client.policy().check_url(url).map_err(|refused| {
            RunFailure::definition(code::EGRESS_REFUSED, format!("{place} may not be called: {refused}"))
        })
    }

    fn client_for(&self, tls: Option<TlsMaterial>) -> Result<Client, RunFailure> {
        let Some(tls) = tls else { return Ok(self.client.clone()) };
        self.client
            .with_tls(&tls)
            .map_err(|error| RunFailure::definition(code::INVALID_TARGET, format!("tls: {error}")))
    }

    async fn definition(&self, spec: &TargetSpec) -> Result<AgentDefinition, PlanError> {
        let id = &spec.target.reference_id;
        let found = self.agents.agent(&spec.project.id, id).await?;
        found.filter(|agent| agent.kind.as_str() == KIND).ok_or_else(|| {
            RunFailure::definition(code::TARGET_NOT_FOUND, format!("HTTP agent {id} not found")).into()
        })
    }
}

#[async_trait]
impl TargetAdapterFactory for HttpAdapterFactory {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let agent = self.definition(&spec).await?;
        let mut endpoint = Endpoint::read(&agent)
            .map_err(|message| RunFailure::definition(code::INVALID_TARGET, message))?;
        let of_project = self.secrets.secrets(&spec.project.id).await?;
        let mut secrets = of_project.clone();
        secrets.extend(spec.secrets);
        endpoint.resolve_secrets(&secrets).map_err(|unknown| {
            RunFailure::definition(codes::SECRET_NOT_FOUND, format!("HTTP agent {}: {unknown}", agent.id))
                .with_hint(
                    "Import the secret into the project, declare it as a secret parameter of the scenario, or correct its \
                     name in the agent's definition",
                )
        })?;
        let scrubber = scrubber(of_project.values().chain(secrets.values()), &endpoint, &agent);
        let wired = self.wired(&spec.project.id, &endpoint, &scrubber).map_err(|mut failure| {
            failure.message = format!("HTTP agent {}: {}", agent.id, failure.message);
            scrubber.clean(failure)
        })?;
        Ok(Box::new(self.adapter(wired, endpoint, spec.parameters, scrubber)))
    }

    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        Endpoint::read(agent).map(drop)
    }
}

fn scrubber<'a>(
    secrets: impl Iterator<Item = &'a Secret>,
    endpoint: &Endpoint,
    agent: &AgentDefinition,
) -> Scrubber {
    let (credentials, written) = (endpoint.credentials(), credentials_in(&agent.config));
    let mut values: Vec<&str> = secrets.map(Secret::expose).collect();
    values.extend(credentials.iter().map(Secret::expose));
    values.extend(written.iter().map(String::as_str));
    let pieces: Vec<String> = values.iter().flat_map(|value| parts_of_url(value)).collect();
    values.extend(pieces.iter().map(String::as_str));
    Scrubber::new(values)
}
