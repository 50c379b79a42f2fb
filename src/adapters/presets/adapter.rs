//! What makes an adapter of a preset.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::adapters::agent_schemas::agent_schema;
use crate::adapters::http::HttpAdapterFactory;
use crate::adapters::http::line::{self, Call, FIELDS, Line, Reach};
use crate::adapters::registry::TargetAdapterFactory;
use crate::definitions::AgentDefinition;
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::ports::{OnUnknown, SessionCall, TargetAdapter, TargetReply, TargetSpec, TargetTurn};
use crate::execution::types::Session;

/// A protocol in which agents are asked. A value is one run's.
#[async_trait]
pub(super) trait Preset: Sized + Send + Sync + 'static {
    /// The type, as requests and definitions name it.
    const KIND: &'static str;
    /// What messages call such an agent.
    const NAME: &'static str;
    /// Whether its connections become another protocol's.
    const UPGRADES: bool = false;
    /// Whether its answers tell which tools were called.
    const TELLS_TOOL_CALLS: bool = false;
    /// What people write about it beside the fields that every agent can have.
    type Definition: DeserializeOwned + JsonSchema;

    /// Checks what people wrote.
    fn from_definition(definition: Self::Definition) -> Result<Self, String>;

    /// The URL as HTTP has it.
    fn http_url(written: &str) -> Cow<'_, str> {
        Cow::Borrowed(written)
    }

    /// Whether every turn carries the run's trace context.
    fn continues_trace(&self) -> bool {
        true
    }

    /// What is asked before the first turn, and what is remembered of it.
    async fn begin(&self, _call: &Call<'_>) -> Result<Option<Session>, RunFailure> {
        Ok(None)
    }

    /// Lets the agent answer.
    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure>;

    /// What is asked after the last turn, where anything is remembered.
    async fn end(&self, _call: &Call<'_>, _session: Session) -> Result<(), RunFailure> {
        Ok(())
    }
}

/// Makes adapters for one preset.
pub(super) struct PresetFactory<P> {
    http: HttpAdapterFactory,
    preset: PhantomData<fn() -> P>,
}

impl<P: Preset> PresetFactory<P> {
    /// Agents are found and reached as `http` does.
    pub(super) fn new(http: &HttpAdapterFactory) -> Self {
        Self { http: http.clone(), preset: PhantomData }
    }
}

#[async_trait]
impl<P: Preset> TargetAdapterFactory for PresetFactory<P> {
    fn kind(&self) -> &'static str {
        P::KIND
    }

    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let agent = self.http.definition(&spec, P::KIND, P::NAME).await?;
        let (reach, preset) =
            read::<P>(&agent).map_err(|message| RunFailure::definition(code::INVALID_TARGET, message))?;
        let line = Box::pin(Line::to(reach, &agent, &self.http, spec, P::NAME, P::UPGRADES)).await?;
        Ok(Box::new(PresetAdapter { line, preset }))
    }

    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        read::<P>(agent).map(drop)
    }
}

/// What definitions of a preset look like: its own fields, and those that every agent can have.
pub(super) fn definition_schema<P: Preset>(generator: &mut SchemaGenerator) -> Schema {
    let (own, common) = (P::Definition::json_schema(generator), line::schema(generator));
    agent_schema(P::KIND, generator, &[common, own])
}

/// Reads a definition. An error names the agent and the place in it.
fn read<P: Preset>(agent: &AgentDefinition) -> Result<(Reach, P), String> {
    let (mut common, own): (Map<String, Value>, Map<String, Value>) =
        agent.config.clone().into_iter().partition(|(name, _)| FIELDS.contains(&name.as_str()));
    if let Some(Value::String(url)) = common.get_mut("url") {
        *url = P::http_url(url.trim()).into_owned();
    }
    let preset = || P::from_definition(line::read(own).map_err(with_common_fields)?);
    let read = Reach::read(common).and_then(|reach| Ok((reach, preset()?)));
    read.map_err(|problem| format!("{} {}: {problem}", P::NAME, agent.id))
}

fn with_common_fields(problem: String) -> String {
    if problem.contains("unknown field") {
        return format!("{problem}, or a field of every agent: {}", FIELDS.join(", "));
    }
    problem
}

struct PresetAdapter<P> {
    line: Line,
    preset: P,
}

impl<P> PresetAdapter<P> {
    /// Lets the agent answer, again from the beginning where its answer breaks off and the definition says so.
    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure>
    where
        P: Preset,
    {
        loop {
            match self.preset.answer(call).await {
                Err(_) if call.begins_again().await => {}
                answered => return answered,
            }
        }
    }
}

/// What belongs to one turn ends in time together.
async fn in_time<T: Send>(
    call: &Call<'_>,
    work: impl Future<Output = Result<T, RunFailure>> + Send,
) -> Result<T, RunFailure> {
    tokio::select! {
        done = work => done,
        () = call.out_of_time() => Err(call.too_slow()),
    }
}

#[async_trait]
impl<P: Preset> TargetAdapter for PresetAdapter<P> {
    fn on_unknown(&self) -> OnUnknown {
        self.line.on_unknown()
    }

    fn reports_tool_calls(&self) -> bool {
        P::TELLS_TOOL_CALLS
    }

    fn continues_trace(&self) -> bool {
        self.preset.continues_trace()
    }

    fn scrub(&self, told: &mut Value) {
        self.line.scrub(told);
    }

    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        let nothing_said = Arc::from([]);
        let turn = line::no_turn(call, &nothing_said);
        let call = self.line.call(&turn)?;
        in_time(&call, self.preset.begin(&call)).await.map_err(|failure| call.clean(failure))
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let call = self.line.call(&turn)?;
        call.settle(in_time(&call, self.answer(&call)).await)
    }

    async fn end(&self, call: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        let nothing_said = Arc::from([]);
        let turn = line::no_turn(call, &nothing_said);
        let call = self.line.call(&turn)?;
        in_time(&call, self.preset.end(&call, session)).await.map_err(|failure| call.clean(failure))
    }
}
