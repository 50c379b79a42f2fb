//! Chat models against doubles of provider APIs on real sockets.

mod factory;
mod failures;
mod forms;
mod limits;
mod options;
mod prices;
mod reasoning;
mod retries;
mod scripted;
mod streams;
mod wires;

use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::definitions::{Provider, Sampling};
use scenario_worker::events::{MessageRole, ProjectId};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::ports::{ChatModel, ChatModelFactory, ProviderRepository};
use scenario_worker::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, Criterion, Message, Scene,
    SceneRole, ToolSpec,
};
use scenario_worker::models::Factory;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A key that must be seen by the provider only.
const KEY: &str = "sk-top-secret-4711";

struct Providers(Vec<Provider>);

#[async_trait]
impl ProviderRepository for Providers {
    async fn providers(&self, _project: &ProjectId) -> Result<Vec<Provider>, Unavailable> {
        Ok(self.0.clone())
    }
}

fn provider(definition: Value) -> Provider {
    serde_json::from_value(definition).unwrap()
}

/// The definition of a remote provider `p` with [`KEY`].
fn remote(kind: &str, base_url: &str) -> Value {
    json!({ "id": "p", "kind": kind, "baseUrl": base_url, "apiKey": KEY })
}

async fn plan(providers: Vec<Value>, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
    let providers = providers.into_iter().map(provider).collect();
    let factory = Factory::new(Arc::new(Providers(providers)), crate::support::egress::open());
    factory.model(&ProjectId::parse("acme").unwrap(), name).await
}

async fn model(definition: Value, name: &str) -> Arc<dyn ChatModel> {
    plan(vec![definition], name).await.unwrap()
}

async fn chat(definition: Value, request: &ChatRequest) -> Result<ChatReply, RunFailure> {
    model(definition, "p/m").await.chat(request).await
}

fn scene(role: SceneRole, turn: u32, transcript: &[(MessageRole, &str)], criteria: &[&str]) -> Scene {
    let messages = transcript.iter().map(|(role, content)| Message {
        turn,
        role: *role,
        content: (*content).to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    });
    let criteria: Vec<String> = criteria.iter().map(|text| (*text).to_owned()).collect();
    Scene { role, turn, transcript: messages.collect(), criteria: Criterion::number(&criteria).into() }
}

/// A question without a tool.
fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![
            ChatMessage::new(ChatRole::System, "Be brief."),
            ChatMessage::new(ChatRole::User, "Hello?"),
        ],
        form: AnswerForm::Words,
        sampling: Sampling::default(),
        options: ChatOptions::default(),
        scene: scene(SceneRole::Judge, 1, &[], &[]),
    }
}

/// A question that has to be answered with a tool.
fn forced() -> ChatRequest {
    let tool = ToolSpec {
        name: "pick".to_owned(),
        description: "Picks a number.".to_owned(),
        parameters: json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] }),
    };
    let sampling = Sampling { temperature: Some(0.5), max_tokens: Some(64), ..Sampling::default() };
    ChatRequest { form: AnswerForm::Tool(tool), sampling, ..question() }
}
