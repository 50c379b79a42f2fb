//! Targets of type `prompt`: a model and its instructions.

mod inputs;
mod messages;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use self::messages::PromptTemplates;
use super::codes;
use super::impersonal::of_any_run;
use super::registry::TargetAdapterFactory;
use crate::definitions::{Prompt, Sampling};
use crate::events::Attribution;
use crate::execution::cassette::model_call;
use crate::execution::chat::chat_in_span;
use crate::execution::failure::{PlanError, RunFailure, Unavailable, code};
use crate::execution::limits::Announcing;
use crate::execution::ports::{
    ChatModel, ChatModelFactory, PromptRepository, TargetAdapter, TargetQuestions, TargetReply, TargetSpec,
    TargetTurn,
};
use crate::execution::types::{AnswerForm, ChatReply, ChatRequest, ModelName, Scene, SceneRole, SpanNote};

/// The type as requests and definitions name it.
pub const KIND: &str = "prompt";

/// Makes adapters for prompts.
pub struct PromptAdapterFactory {
    prompts: Arc<dyn PromptRepository>,
    models: Arc<dyn ChatModelFactory>,
}

impl PromptAdapterFactory {
    /// Takes prompts from `prompts` and their models from `models`.
    #[must_use]
    pub fn new(prompts: Arc<dyn PromptRepository>, models: Arc<dyn ChatModelFactory>) -> Self {
        Self { prompts, models }
    }

    /// A run that began before goes on with the prompt that it began with.
    async fn prompt(&self, spec: &TargetSpec) -> Result<Prompt, PlanError> {
        let id = &spec.target.reference_id;
        if let Some(kept) = spec.kept.clone() {
            let unreadable =
                |error| Unavailable::new(format!("reading prompt {id} as the run began with it"), error);
            return Ok(serde_json::from_value(kept).map_err(unreadable)?);
        }
        let found = self.prompts.prompt(&spec.project.id, id).await?;
        found.ok_or_else(|| {
            RunFailure::definition(code::TARGET_NOT_FOUND, format!("Prompt {id} not found")).into()
        })
    }
}

impl PromptAdapterFactory {
    async fn described(&self, spec: TargetSpec) -> Result<PromptQuestions, PlanError> {
        let mut prompt = self.prompt(&spec).await?;
        let templates = PromptTemplates::compile(&prompt).map_err(|error| {
            RunFailure::definition(code::INVALID_TARGET, format!("Prompt {}: {error}", prompt.id))
        })?;
        let name = model_name(&prompt, &spec)?.to_owned();
        let model = ModelName::parse(&name)
            .map_err(|error| RunFailure::definition(code::INVALID_MODEL_FORMAT, error.to_string()))?;
        prompt.model = Some(name);
        Ok(PromptQuestions { prompt, templates, model, parameters: spec.parameters })
    }
}

#[async_trait]
impl TargetAdapterFactory for PromptAdapterFactory {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let project = spec.project.id.clone();
        let questions = self.described(spec).await?;
        let model = self.models.model(&project, &questions.model.to_string()).await?;
        Ok(Box::new(PromptAdapter { questions, model }))
    }

    async fn questions(&self, spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        Ok(Some(Box::new(self.described(spec).await?)))
    }
}

/// The prompt's own model, else the default.
fn model_name<'a>(prompt: &'a Prompt, spec: &'a TargetSpec) -> Result<&'a str, RunFailure> {
    prompt.model.as_deref().or(spec.default_model.as_deref()).ok_or_else(|| {
        let message = "Project default model is not configured";
        RunFailure::definition(code::DEFAULT_MODEL_NOT_CONFIGURED, message)
            .with_hint(format!("Give prompt {} a `model`, or the project a `defaultModel`", prompt.id))
    })
}

fn sampling(prompt: &Prompt) -> Sampling {
    let Prompt { temperature, max_tokens, seed, .. } = *prompt;
    Sampling { temperature, max_tokens, seed, reasoning_effort: prompt.reasoning_effort.clone() }
}

/// What the model of a prompt is asked.
struct PromptQuestions {
    prompt: Prompt,
    templates: PromptTemplates,
    model: ModelName,
    parameters: Map<String, Value>,
}

impl PromptQuestions {
    fn request(&self, turn: &TargetTurn<'_>) -> Result<ChatRequest, RunFailure> {
        let bound = inputs::bind(&self.prompt, &self.parameters, turn);
        if !bound.unbound.is_empty() {
            turn.span.note(SpanNote::UnboundInputs { names: bound.unbound.clone() });
        }
        let messages = self.templates.messages(&bound, turn.transcript).map_err(|error| {
            let message = format!("Prompt {}: {error}", self.prompt.id);
            RunFailure::definition(codes::TEMPLATE_FAILED, message)
        })?;
        Ok(ChatRequest {
            messages,
            form: AnswerForm::Words,
            sampling: sampling(&self.prompt),
            scene: Scene {
                role: SceneRole::Target,
                turn: turn.turn,
                transcript: Arc::clone(turn.transcript),
                criteria: Arc::new([]),
            },
        })
    }
}

impl TargetQuestions for PromptQuestions {
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        of_any_run(turn, |turn| Some(model_call(&self.model, &self.request(turn).ok()?)))
    }
}

struct PromptAdapter {
    questions: PromptQuestions,
    model: Arc<dyn ChatModel>,
}

impl PromptAdapter {
    fn empty(&self, reply: &ChatReply) -> RunFailure {
        let finish = reply.finish_reason.as_deref().unwrap_or("none");
        let message = format!(
            "Prompt {}: model {} gave an empty reply (finish reason: {finish})",
            self.questions.prompt.id,
            self.model.name()
        );
        RunFailure::new(codes::EMPTY_REPLY, Attribution::Target, message)
    }
}

#[async_trait]
impl TargetAdapter for PromptAdapter {
    fn knows_its_price(&self) -> bool {
        self.model.knows_its_price()
    }

    fn kept(&self) -> Option<Value> {
        serde_json::to_value(&self.questions.prompt).ok()
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.questions.asked(turn)
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let model = Announcing { model: self.model.as_ref(), waiting: turn.admission.waiting() };
        let reply = chat_in_span(&model, self.questions.request(&turn)?, turn.span).await?;
        if reply.content.trim().is_empty() && reply.tool_calls.is_empty() {
            return Err(self.empty(&reply));
        }
        let ChatReply { content, tool_calls, usage, .. } = reply;
        Ok(TargetReply { content, tool_calls, usage, ..TargetReply::default() })
    }
}
