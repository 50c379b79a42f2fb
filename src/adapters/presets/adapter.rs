//! What makes an adapter of a preset.

use std::borrow::Cow;
use std::marker::PhantomData;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::call::Call;
use super::{PresetParts, exposed};
use crate::adapters::codes;
use crate::adapters::http::definition::{self, HttpDefinition};
use crate::adapters::http::endpoint::Endpoint;
use crate::adapters::registry::TargetAdapterFactory;
use crate::adapters::scrub::Scrubber;
use crate::adapters::template::UnknownSecret;
use crate::definitions::{AgentDefinition, Secrets};
use crate::egress::Client;
use crate::events::{Attribution, ToolCall};
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::ports::{OnUnknown, TargetAdapter, TargetReply, TargetSpec, TargetTurn};

/// Fields that every preset has, as agents of type `http` have them.
const COMMON: [&str; 6] = ["url", "headers", "auth", "fieldMappings", "onUnknown", "timeoutSeconds"];

const SECRET_HINT: &str = "Import the secret into the project, declare it as a secret parameter of the scenario, or correct its \
                           name in the agent's definition";

/// A protocol in which agents are asked. A value is one run's: it may keep what the agent's side of the conversation needs.
#[async_trait]
pub(super) trait Preset: Sized + Send + Sync + 'static {
    /// The type, as requests and definitions name it.
    const KIND: &'static str;
    /// What messages call such an agent.
    const NAME: &'static str;
    /// Whether its connections become another protocol's.
    const UPGRADES: bool = false;
    /// What people write about it beside the common fields.
    type Definition: DeserializeOwned;

    /// Checks what people wrote.
    fn from_definition(definition: Self::Definition) -> Result<Self, String>;

    /// The URL as HTTP has it.
    fn http_url(written: &str) -> Cow<'_, str> {
        Cow::Borrowed(written)
    }

    /// Lets the agent answer.
    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure>;
}

/// Makes adapters for one preset.
pub(super) struct PresetFactory<P> {
    parts: PresetParts,
    preset: PhantomData<fn() -> P>,
}

impl<P: Preset> PresetFactory<P> {
    pub(super) fn new(parts: &PresetParts) -> Self {
        Self { parts: parts.clone(), preset: PhantomData }
    }

    async fn definition(&self, spec: &TargetSpec) -> Result<AgentDefinition, PlanError> {
        let id = &spec.target.reference_id;
        let found = self.parts.agents.agent(&spec.project.id, id).await?;
        found.filter(|agent| agent.kind.as_str() == P::KIND).ok_or_else(|| {
            RunFailure::definition(code::TARGET_NOT_FOUND, format!("{} {id} not found", P::NAME)).into()
        })
    }

    fn client(&self) -> Client {
        if P::UPGRADES { self.parts.upgrading_client.clone() } else { self.parts.client.clone() }
    }
}

#[async_trait]
impl<P: Preset> TargetAdapterFactory for PresetFactory<P> {
    fn kind(&self) -> &'static str {
        P::KIND
    }

    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let agent = self.definition(&spec).await?;
        let (mut endpoint, preset) =
            read::<P>(&agent).map_err(|message| RunFailure::definition(code::INVALID_TARGET, message))?;
        let of_project = self.parts.secrets.secrets(&spec.project.id).await?;
        let mut secrets = of_project.clone();
        secrets.extend(spec.secrets);
        endpoint.resolve_secrets(&secrets).map_err(|unknown| unknown_secret::<P>(&agent, &unknown))?;
        let scrubber = scrubber(&of_project, &secrets, &endpoint);
        let (client, parameters) = (self.client(), spec.parameters);
        Ok(Box::new(PresetAdapter { client, endpoint, parameters, scrubber, preset }))
    }

    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        read::<P>(agent).map(drop)
    }
}

fn unknown_secret<P: Preset>(agent: &AgentDefinition, unknown: &UnknownSecret) -> RunFailure {
    let message = format!("{} {}: {unknown}", P::NAME, agent.id);
    RunFailure::definition(codes::SECRET_NOT_FOUND, message).with_hint(SECRET_HINT)
}

fn scrubber(of_project: &Secrets, of_run: &Secrets, endpoint: &Endpoint) -> Scrubber {
    let credentials = endpoint.credentials();
    let secrets = of_project.values().chain(of_run.values()).chain(&credentials);
    Scrubber::new(exposed(secrets))
}

/// Reads a definition. An error names the agent and the place in it.
fn read<P: Preset>(agent: &AgentDefinition) -> Result<(Endpoint, P), String> {
    let (mut common, own): (Map<String, Value>, Map<String, Value>) =
        agent.config.clone().into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
    if let Some(Value::String(url)) = common.get_mut("url") {
        *url = P::http_url(url.trim()).into_owned();
    }
    let endpoint = definition::read::<HttpDefinition>(common)
        .and_then(|definition| Endpoint::from_definition(&definition));
    endpoint
        .and_then(|endpoint| {
            let own = definition::read(own).map_err(with_common_fields)?;
            Ok((endpoint, P::from_definition(own)?))
        })
        .map_err(|problem| format!("{} {}: {problem}", P::NAME, agent.id))
}

fn with_common_fields(problem: String) -> String {
    if problem.contains("unknown field") {
        return format!("{problem}, or a field of every agent: {}", COMMON.join(", "));
    }
    problem
}

struct PresetAdapter<P> {
    client: Client,
    endpoint: Endpoint,
    parameters: Map<String, Value>,
    scrubber: Scrubber,
    preset: P,
}

impl<P: Preset> PresetAdapter<P> {
    async fn exchange(&self, turn: &TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let Self { client, endpoint, parameters, scrubber, preset } = self;
        let call = Call { client, endpoint, parameters, scrubber, turn };
        let answered = tokio::time::timeout(endpoint.timeout, preset.answer(&call)).await;
        let reply = answered.unwrap_or_else(|_| Err(call.too_slow()))?;
        if reply.content.trim().is_empty() && reply.tool_calls.is_empty() {
            let message = format!("{} answered with an empty reply", call.place());
            return Err(RunFailure::new(codes::EMPTY_REPLY, Attribution::Target, message));
        }
        Ok(self.clean(reply))
    }

    /// An agent that echoes its credentials must not put them into events and spans.
    fn clean(&self, mut reply: TargetReply) -> TargetReply {
        reply.content = self.scrubber.scrub_answer(&reply.content);
        for ToolCall { id, name, arguments } in &mut reply.tool_calls {
            *id = self.scrubber.scrub_answer(id);
            *name = self.scrubber.scrub_answer(name);
            let scrubbed = self.scrubber.scrub_answer(&arguments.to_string());
            *arguments = serde_json::from_str(&scrubbed).unwrap_or(Value::String(scrubbed));
        }
        reply
    }
}

#[async_trait]
impl<P: Preset> TargetAdapter for PresetAdapter<P> {
    fn on_unknown(&self) -> OnUnknown {
        self.endpoint.on_unknown
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        self.exchange(&turn).await.map_err(|failure| self.scrubber.clean(failure))
    }
}
