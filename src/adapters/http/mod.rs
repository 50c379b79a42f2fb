//! Targets of type `http`: agents that answer one request per turn.

mod auth;
mod definition;
mod endpoint;
mod output;
mod question;
mod request;
mod response;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use self::endpoint::Endpoint;
use self::question::HttpQuestions;
use super::codes;
use super::registry::TargetAdapterFactory;
use super::scrub::Scrubber;
use crate::definitions::{AgentDefinition, Secret};
use crate::egress::Client;
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::ports::{
    AgentRepository, OnUnknown, SecretRepository, TargetAdapter, TargetQuestions, TargetReply, TargetSpec,
    TargetTurn,
};

/// The type as requests and definitions name it.
pub const KIND: &str = "http";

/// Makes adapters for HTTP agents. All of them share one client and its connections.
pub struct HttpAdapterFactory {
    agents: Arc<dyn AgentRepository>,
    secrets: Arc<dyn SecretRepository>,
    client: Client,
}

impl HttpAdapterFactory {
    /// Agents are called through `client`.
    #[must_use]
    pub fn new(agents: Arc<dyn AgentRepository>, secrets: Arc<dyn SecretRepository>, client: Client) -> Self {
        Self { agents, secrets, client }
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
        let mut endpoint = endpoint(&agent)?;
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
        let scrubber = scrubber(of_project.values().chain(secrets.values()), &endpoint);
        let questions = questions(&agent, spec.parameters, scrubber.clone())?;
        Ok(Box::new(HttpAdapter { client: self.client.clone(), endpoint, questions, scrubber }))
    }

    async fn questions(&self, spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        let agent = self.definition(&spec).await?;
        let of_project = self.secrets.secrets(&spec.project.id).await?;
        let secrets = of_project.values().chain(spec.secrets.values());
        let scrubber = scrubber(secrets, &endpoint(&agent)?);
        Ok(Some(Box::new(questions(&agent, spec.parameters, scrubber)?)))
    }

    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        Endpoint::read(agent).map(drop)
    }
}

fn endpoint(agent: &AgentDefinition) -> Result<Endpoint, RunFailure> {
    Endpoint::read(agent).map_err(|message| RunFailure::definition(code::INVALID_TARGET, message))
}

fn questions(
    agent: &AgentDefinition,
    parameters: Map<String, Value>,
    scrubber: Scrubber,
) -> Result<HttpQuestions, RunFailure> {
    Ok(HttpQuestions { endpoint: endpoint(agent)?, parameters, scrubber })
}

fn scrubber<'a>(secrets: impl Iterator<Item = &'a Secret>, endpoint: &Endpoint) -> Scrubber {
    let credentials = endpoint.credentials();
    let mut values: Vec<&str> = secrets.map(Secret::expose).collect();
    values.extend(credentials.iter().map(Secret::expose));
    Scrubber::new(values)
}

struct HttpAdapter {
    client: Client,
    endpoint: Endpoint,
    questions: HttpQuestions,
    scrubber: Scrubber,
}

impl HttpAdapter {
    async fn exchange(&self, turn: &TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let request = request::build(&self.endpoint, turn, &self.questions.parameters)?;
        let received = transport::send(&self.client, request, self.endpoint.timeout).await?;
        let content = response::read(&received, self.endpoint.output.as_ref(), &self.scrubber)?;
        // An agent that echoes its credentials must not put them into events and spans.
        Ok(TargetReply { content: self.scrubber.scrub_answer(&content), ..TargetReply::default() })
    }
}

#[async_trait]
impl TargetAdapter for HttpAdapter {
    fn on_unknown(&self) -> OnUnknown {
        self.endpoint.on_unknown
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.questions.asked(turn)
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        self.exchange(&turn).await.map_err(|failure| self.scrubber.clean(failure))
    }
}
