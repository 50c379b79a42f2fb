//! How agents behind other protocols are reached over HTTP: what a request is made of, how it proves where it comes from, how long it may
//! take, where it may go and what failures are called is as for agents of type `http`.

mod again;
mod answer;
mod call;

pub(in crate::adapters) use answer::{Answer, Events};
pub(in crate::adapters) use call::{Call, below};

use std::sync::Arc;

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::HttpAdapterFactory;
use super::adapter::HttpAdapter;
use super::definition::{self, HttpDefinition};
use super::endpoint::Endpoint;
use crate::definitions::AgentDefinition;
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::limits::Admission;
use crate::execution::ports::{OnUnknown, SessionCall, TargetSpec, TargetTurn};
use crate::execution::types::Message;

/// Fields that a definition can have whatever the protocol.
pub(in crate::adapters) const FIELDS: [&str; 13] = [
    "url",
    "query",
    "headers",
    "auth",
    "tls",
    "fieldMappings",
    "onUnknown",
    "retries",
    "timeoutSeconds",
    "connectTimeoutSeconds",
    "firstByteTimeoutSeconds",
    "idleTimeoutSeconds",
    "maxResponseBytes",
];

/// Reads what people wrote. An error names the place, and no value.
pub(in crate::adapters) fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    definition::read(fields)
}

/// What the [`FIELDS`] look like.
pub(in crate::adapters) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = HttpDefinition::json_schema(generator);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| FIELDS.contains(&name.as_str()));
    }
    schema
}

/// Where an agent is and how it is reached, checked.
pub(in crate::adapters) struct Reach(Endpoint);

impl Reach {
    /// Reads the [`FIELDS`] of a definition.
    pub(in crate::adapters) fn read(fields: Map<String, Value>) -> Result<Self, String> {
        let definition: HttpDefinition = definition::read(fields)?;
        Endpoint::from_definition(&definition).map(Self)
    }
}

/// One run's way to an agent.
pub(in crate::adapters) struct Line(HttpAdapter);

impl Line {
    /// The way to the agent that `spec` names and that messages call `name`. With `upgrades` its connections can become another protocol's.
    pub(in crate::adapters) async fn to(
        reach: Reach,
        agent: &AgentDefinition,
        http: &HttpAdapterFactory,
        spec: TargetSpec,
        name: &str,
        upgrades: bool,
    ) -> Result<Self, PlanError> {
        if !upgrades {
            return Ok(Self(http.adapter(name, agent, reach.0, spec).await?));
        }
        let client = http.client.upgrading().map_err(|error| {
            RunFailure::definition(code::INVALID_TARGET, format!("{name} {}: {error}", agent.id))
        })?;
        let http = HttpAdapterFactory { client, ..http.clone() };
        Ok(Self(http.adapter(name, agent, reach.0, spec).await?))
    }

    /// What to do about a request whose end is unknown.
    pub(in crate::adapters) fn on_unknown(&self) -> OnUnknown {
        self.0.endpoint.on_unknown
    }

    /// Takes the credentials of the definition out of what the agent tells of itself.
    pub(in crate::adapters) fn scrub(&self, told: &mut serde_json::Value) {
        self.0.scrubber.scrub_told(told);
    }

    /// One turn.
    pub(in crate::adapters) fn call<'a>(&'a self, turn: &'a TargetTurn<'a>) -> Result<Call<'a>, RunFailure> {
        Call::new(&self.0, turn)
    }
}

/// What is asked before the first turn or after the last, when nothing is said.
pub(in crate::adapters) fn no_turn<'a>(
    call: SessionCall<'a>,
    nothing_said: &'a Arc<[Message]>,
) -> TargetTurn<'a> {
    let SessionCall { run, span } = call;
    TargetTurn {
        run,
        turn: 0,
        transcript: nothing_said,
        span,
        session: None,
        admission: Admission::default(),
        so_far: None,
    }
}
