//! Definitions in memory behind the real planner, templates and targets; models that remember who was asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::adapters::{HttpAdapterFactory, PromptAdapterFactory, Registry, ScenarioTexts};
use scenario_worker::definitions::{AgentDefinition, Project, Prompt, Scenario, Secret, Secrets};
use scenario_worker::events::{
    ProjectId, ReferenceId, RequestIdentity, RequestPayload, RunRequest, ScenarioId, SetId,
};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::limits::Waiting;
use scenario_worker::execution::planner::{PlanDefaults, Planner, RunPlan};
use scenario_worker::execution::ports::{
    AgentRepository, ChatModel, ChatModelFactory, ProjectRepository, PromptRepository, ScenarioRepository,
    SecretRepository,
};
use scenario_worker::execution::types::{Brief, ChatReply, ChatRequest, Conversation, ModelName};
use serde_json::{Value, json};

use crate::support::play::Shelf;

/// What a project has.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) project: Value,
    pub(super) scenario: Value,
    pub(super) agent: Value,
    pub(super) prompt: Value,
    pub(super) secrets: Vec<(&'static str, &'static str)>,
    /// The worker's own default.
    pub(super) default_model: Option<String>,
    /// Every model that was asked for, in order.
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            project: json!({ "id": "acme", "defaultModel": "openai/default" }),
            scenario: json!({ "id": "refund", "name": "Refund", "situation": "A mug broke.", "criteria": ["It apologises"] }),
            agent: json!({ "id": "shop", "type": "http", "url": "http://127.0.0.1:9/" }),
            prompt: json!({ "id": "support", "systemPrompt": "You help." }),
            secrets: Vec::new(),
            default_model: None,
            asked: Arc::default(),
        }
    }
}

/// `base` with the entries of `more`.
pub(super) fn with(mut base: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("no map: {more}") };
    base.as_object_mut().unwrap().extend(more);
    base
}

/// A request for the scenario with the HTTP agent, as JSON over the minimal one.
pub(super) fn request(more: Value) -> RunRequest {
    let minimal = json!({ "projectId": "acme", "scenarioId": "refund", "target": { "type": "http", "referenceId": "shop" } });
    let identity = RequestIdentity {
        subject: "scenario.run.requested",
        message_id: Some("acme:1"),
        stored_as: "1",
        trace_context: None,
    };
    let payload = RequestPayload::decode(with(minimal, more).to_string().as_bytes()).unwrap();
    payload.resolve(identity, &SetId::parse("default").unwrap()).unwrap()
}

impl Desk {
    /// The scenario with these entries too.
    pub(super) fn with_scenario(self, more: Value) -> Self {
        let scenario = with(self.scenario.clone(), more);
        Self { scenario, ..self }
    }

    pub(super) fn planner(&self) -> Planner {
        let desk = Arc::new(self.clone());
        let client = crate::support::egress::open();
        let targets = Registry::new()
            .with(PromptAdapterFactory::new(desk.clone(), desk.clone()))
            .with(HttpAdapterFactory::new(desk.clone(), desk.clone(), client));
        Planner {
            scenarios: desk.clone(),
            projects: desk.clone(),
            models: desk,
            targets: Arc::new(targets),
            texts: Arc::new(ScenarioTexts),
            cassettes: Arc::new(Shelf::default()),
            defaults: defaults(self.default_model.clone()),
        }
    }

    pub(super) async fn plan(&self, more: Value) -> Result<RunPlan, RunFailure> {
        self.plan_from(&request(more), None).await
    }

    pub(super) async fn plan_from(
        &self,
        request: &RunRequest,
        brief: Option<&Brief>,
    ) -> Result<RunPlan, RunFailure> {
        let brief = brief.map(|brief| Box::new(brief.clone()));
        let earlier = brief.map(|brief| Conversation { brief: Some(brief), ..Conversation::default() });
        self.planner().plan(request, earlier.as_ref()).await.map_err(|error| match error {
            PlanError::Failure(failure) => failure,
            PlanError::Unavailable(unavailable) => panic!("{unavailable}"),
        })
    }

    /// The failure of a request with these parameters.
    pub(super) async fn refusal(&self, parameters: Value) -> RunFailure {
        self.plan(json!({ "parameters": parameters })).await.err().expect("the request is refused")
    }

    /// The models that were asked for since the last time.
    pub(super) fn asked_for(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// What applies where nobody says.
pub(super) fn defaults(model: Option<String>) -> PlanDefaults {
    PlanDefaults {
        max_turns: 10,
        timeout: Duration::from_mins(1),
        stall_timeout: Duration::from_mins(1),
        judge_on_timeout: true,
        session_end: Duration::from_secs(10),
        model,
    }
}

fn read<T: serde::de::DeserializeOwned>(definition: &Value) -> T {
    serde_json::from_value(definition.clone()).unwrap()
}

#[async_trait]
impl ScenarioRepository for Desk {
    async fn scenario(&self, _: &ProjectId, _: &ScenarioId) -> Result<Option<Scenario>, Unavailable> {
        Ok(Some(read(&self.scenario)))
    }
}

#[async_trait]
impl ProjectRepository for Desk {
    async fn project(&self, _: &ProjectId) -> Result<Option<Project>, Unavailable> {
        Ok(Some(read(&self.project)))
    }
}

#[async_trait]
impl AgentRepository for Desk {
    async fn agent(&self, _: &ProjectId, _: &ReferenceId) -> Result<Option<AgentDefinition>, Unavailable> {
        Ok(Some(read(&self.agent)))
    }
}

#[async_trait]
impl PromptRepository for Desk {
    async fn prompt(&self, _: &ProjectId, _: &ReferenceId) -> Result<Option<Prompt>, Unavailable> {
        Ok(Some(read(&self.prompt)))
    }
}

#[async_trait]
impl SecretRepository for Desk {
    async fn secrets(&self, _: &ProjectId) -> Result<Secrets, Unavailable> {
        Ok(self.secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect())
    }
}

#[async_trait]
impl ChatModelFactory for Desk {
    async fn model(&self, _: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        self.asked.lock().unwrap().push(name.to_owned());
        Ok(Arc::new(Silent(ModelName::parse(name).unwrap())))
    }
}

/// A model that nobody talks to while a run is planned.
struct Silent(ModelName);

#[async_trait]
impl ChatModel for Silent {
    fn name(&self) -> &ModelName {
        &self.0
    }

    async fn chat_watched(&self, _: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        panic!("{} was asked while the run was planned", self.0)
    }
}
