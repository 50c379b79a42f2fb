//! What the tests of adapters play with: a store in memory, a run, a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::adapters::{HttpAdapterFactory, TargetAdapterFactory};
use scenario_worker::definitions::{AgentDefinition, Project, Prompt, Secret, Secrets};
use scenario_worker::events::{
    Budget, MessageRole, ProjectId, ReferenceId, RunId, RunKey, TargetRef, TargetType, TraceContext,
};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::limits::Admission;
use scenario_worker::execution::ports::{
    AgentRepository, PromptRepository, SecretRepository, TargetAdapter, TargetReply, TargetSpec, TargetTurn,
};
use scenario_worker::execution::types::Message;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::support::spans::Recorded;

pub(super) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(super) const TRACESTATE: &str = "vendor=1";
pub(super) const THREAD: &str = "run-1";
pub(super) const LINE: &str = "My mug is broken";

/// Definitions in memory. `down` makes it not answer.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) prompts: Vec<Prompt>,
    pub(super) agents: Vec<AgentDefinition>,
    pub(super) secrets: Secrets,
    pub(super) down: bool,
}

impl Shelf {
    fn answer<T>(&self, found: T) -> Result<T, Unavailable> {
        if self.down { Err(Unavailable::new("reading the shelf", "it is down")) } else { Ok(found) }
    }
}

#[async_trait]
impl PromptRepository for Shelf {
    async fn prompt(&self, _: &ProjectId, id: &ReferenceId) -> Result<Option<Prompt>, Unavailable> {
        self.answer(self.prompts.iter().find(|prompt| prompt.id == id.as_str()).cloned())
    }
}

#[async_trait]
impl AgentRepository for Shelf {
    async fn agent(&self, _: &ProjectId, id: &ReferenceId) -> Result<Option<AgentDefinition>, Unavailable> {
        self.answer(self.agents.iter().find(|agent| agent.id == id.as_str()).cloned())
    }
}

#[async_trait]
impl SecretRepository for Shelf {
    async fn secrets(&self, _: &ProjectId) -> Result<Secrets, Unavailable> {
        self.answer(self.secrets.clone())
    }
}

pub(super) fn secrets<const N: usize>(pairs: [(&str, &str); N]) -> Secrets {
    BTreeMap::from(pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))))
}

/// An agent `shop` of type `http` as a definition file has it.
pub(super) fn http_agent(config: Value) -> AgentDefinition {
    agent("http", config)
}

pub(super) fn agent(kind: &str, config: Value) -> AgentDefinition {
    let Value::Object(config) = config else { panic!("not a map: {config}") };
    AgentDefinition { id: "shop".into(), kind: TargetType::parse(kind).unwrap(), limits: None, config }
}

pub(super) fn spec(kind: &str, id: &str, parameters: Value) -> TargetSpec {
    let Value::Object(parameters) = parameters else { panic!("not a map: {parameters}") };
    let id_of_project = ProjectId::parse("acme").unwrap();
    TargetSpec {
        project: Project {
            id: id_of_project,
            name: None,
            default_model: None,
            telemetry: None,
            budget: Budget::default(),
            limits: None,
        },
        target: TargetRef {
            kind: TargetType::parse(kind).unwrap(),
            reference_id: ReferenceId::parse(id).unwrap(),
        },
        parameters,
        secrets: Secrets::new(),
        default_model: None,
        kept: None,
    }
}

/// An adapter for the HTTP agent `shop`.
pub(super) async fn http_adapter(
    config: Value,
    secrets: Secrets,
    parameters: Value,
) -> Result<Box<dyn TargetAdapter>, PlanError> {
    let shelf = Arc::new(Shelf { agents: vec![http_agent(config)], secrets, ..Shelf::default() });
    let client = crate::support::egress::open();
    HttpAdapterFactory::new(shelf.clone(), shelf, client).create(spec("http", "shop", parameters)).await
}

/// Asks an HTTP agent with this definition once.
pub(super) async fn ask(config: Value) -> Result<TargetReply, RunFailure> {
    ask_with(config, Secrets::new(), json!({}), &dialogue(LINE)).await
}

pub(super) async fn ask_with(
    config: Value,
    secrets: Secrets,
    parameters: Value,
    transcript: &Arc<[Message]>,
) -> Result<TargetReply, RunFailure> {
    let adapter = http_adapter(config, secrets, parameters).await.expect("the definition is usable");
    take_turn(adapter.as_ref(), transcript, &Recorded::default()).await
}

/// One turn under a span of the trace [`TRACEPARENT`].
pub(super) async fn take_turn(
    adapter: &dyn TargetAdapter,
    transcript: &Arc<[Message]>,
    recorded: &Recorded,
) -> Result<TargetReply, RunFailure> {
    let context = TraceContext::from_headers(&[TRACEPARENT], &[TRACESTATE]).unwrap().unwrap();
    let span = recorded.span(context);
    let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(THREAD).unwrap() };
    let (admission, session) = (Admission::default(), None);
    adapter
        .reply(TargetTurn { run: &run, turn: 2, transcript, span: &span, session, admission, so_far: None })
        .await
}

/// A conversation whose last line is `line`.
pub(super) fn dialogue(line: &str) -> Arc<[Message]> {
    let message = |turn, role, content: &str| Message {
        turn,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    Arc::new([
        message(1, MessageRole::User, "Hello"),
        message(1, MessageRole::Assistant, "How can I help?"),
        message(2, MessageRole::User, line),
    ])
}

/// The same conversation as agents receive it.
pub(super) fn history(line: &str) -> Value {
    json!([
        { "role": "user", "content": "Hello" },
        { "role": "assistant", "content": "How can I help?" },
        { "role": "user", "content": line },
    ])
}

/// `base` with the entries of `more`.
pub(super) fn with(base: Value, more: Value) -> Value {
    let (Value::Object(mut base), Value::Object(more)) = (base, more) else { panic!("not maps") };
    base.extend::<Map<String, Value>>(more);
    Value::Object(base)
}

pub(super) fn failure(error: PlanError) -> RunFailure {
    match error {
        PlanError::Failure(failure) => failure,
        PlanError::Unavailable(unavailable) => panic!("{unavailable}"),
    }
}
