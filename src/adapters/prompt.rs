//! Targets of type `prompt`: a model and its instructions.

mod history;
mod inputs;
mod messages;
mod rounds;
mod tools;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use self::history::Teller;
use self::inputs::Bound;
use self::messages::PromptTemplates;
use self::rounds::Rounds;
use self::tools::{ToolFault, Tools};
use super::codes;
use super::impersonal::of_any_run;
use super::registry::TargetAdapterFactory;
use super::template::TemplateError;
use crate::definitions::{Prompt, Sampling, ToolChoice};
use crate::events::{Attribution, ToolCall};
use crate::execution::cassette::model_call;
use crate::execution::chat::chat_in_span;
use crate::execution::failure::{PlanError, RunFailure, Unavailable, code};
use crate::execution::limits::Announcing;
use crate::execution::ports::{
    ChatModel, ChatModelFactory, PromptRepository, TargetAdapter, TargetQuestions, TargetReply, TargetSpec,
    TargetTurn,
};
use crate::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ModelName, Scene, SceneRole, SpanNote,
};

/// The type as requests and definitions name it.
pub const KIND: &str = "prompt";

/// How often a model is asked again in one turn where its prompt does not say: more than any of the usual tasks takes, and
/// few enough that a model that never stops calling is noticed before it is expensive.
pub const DEFAULT_TOOL_ROUNDS: u32 = 8;

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
        let unusable = |reason: String| {
            RunFailure::definition(code::INVALID_TARGET, format!("Prompt {}: {reason}", prompt.id))
        };
        let templates = PromptTemplates::compile(&prompt).map_err(|error| unusable(error.to_string()))?;
        let tools = Tools::compile(&prompt).map_err(unusable)?;
        let name = model_name(&prompt, &spec)?.to_owned();
        let model = ModelName::parse(&name)
            .map_err(|error| RunFailure::definition(code::INVALID_MODEL_FORMAT, error.to_string()))?;
        prompt.model = Some(name);
        Ok(PromptQuestions { prompt, templates, tools, model, parameters: spec.parameters })
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
        questions.suit(model.as_ref())?;
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
    tools: Tools,
    model: ModelName,
    parameters: Map<String, Value>,
}

impl PromptQuestions {
    /// Nothing that the definition asks for is left out silently.
    fn suit(&self, model: &dyn ChatModel) -> Result<(), RunFailure> {
        let objection = model.objection(&sampling(&self.prompt), &self.options(&Rounds::default()));
        objection.map_or(Ok(()), |objection| {
            let message = format!("Prompt {}: model {} {objection}", self.prompt.id, self.model);
            Err(RunFailure::definition(code::INVALID_TARGET, message)
                .with_hint("Leave it out of the prompt, or choose a model of another provider."))
        })
    }

    /// What the model is asked behind `rounds`.
    fn request(&self, turn: &TargetTurn<'_>, rounds: &Rounds) -> Result<ChatRequest, RunFailure> {
        let bound = inputs::bind(&self.prompt, &self.parameters, turn);
        if !bound.unbound.is_empty() && rounds.count() == 0 {
            turn.span.note(SpanNote::UnboundInputs { names: bound.unbound.clone() });
        }
        let messages = self.messages(turn, bound, rounds).map_err(|error| {
            let message = format!("Prompt {}: {error}", self.prompt.id);
            RunFailure::definition(codes::TEMPLATE_FAILED, message)
        })?;
        Ok(ChatRequest {
            messages,
            form: AnswerForm::Words,
            sampling: sampling(&self.prompt),
            options: self.options(rounds),
            scene: Scene {
                role: SceneRole::Target,
                turn: turn.turn,
                transcript: Arc::clone(turn.transcript),
                criteria: Arc::new([]),
            },
        })
    }

    fn messages(
        &self,
        turn: &TargetTurn<'_>,
        mut bound: Bound,
        rounds: &Rounds,
    ) -> Result<Vec<ChatMessage>, TurnFault> {
        let Self { prompt, parameters, tools, .. } = self;
        let mut messages = self.templates.messages(&bound)?;
        if !self.templates.tell_conversation(&bound) {
            messages.extend(Teller { prompt, parameters, tools }.history(turn)?);
        }
        messages.extend(rounds.messages(tools, &mut bound.variables)?);
        Ok(messages)
    }

    fn play_tools(&self, turn: &TargetTurn<'_>, calls: &[ToolCall]) {
        let mut variables = inputs::bind(&self.prompt, &self.parameters, turn).variables;
        self.tools.play(calls, &mut variables, turn.span);
    }

    /// A tool that must be called is called in the turn's first answer: if it had to be in each of them, there would be no
    /// end.
    fn options(&self, rounds: &Rounds) -> ChatOptions {
        let Prompt { top_p, frequency_penalty, presence_penalty, stream, .. } = self.prompt;
        let for_all = |choice: &ToolChoice| rounds.count() == 0 || *choice == ToolChoice::None;
        ChatOptions {
            tools: self.tools.specs().to_vec(),
            tool_choice: self.prompt.tool_choice.clone().filter(for_all),
            top_p,
            stop: self.prompt.stop.clone(),
            frequency_penalty,
            presence_penalty,
            response_format: self.prompt.response_format.clone(),
            extra: self.prompt.extra.clone(),
            stream,
        }
    }
}

/// Why a model cannot be told what it should be.
#[derive(Debug, thiserror::Error)]
enum TurnFault {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Tool(#[from] ToolFault),
}

impl TargetQuestions for PromptQuestions {
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        of_any_run(turn, |turn| {
            let request = self.request(turn, &Rounds::of(turn).ok()?).ok()?;
            Some(model_call(&self.model, &request))
        })
    }
}

struct PromptAdapter {
    questions: PromptQuestions,
    model: Arc<dyn ChatModel>,
}

impl PromptAdapter {
    fn rounds_limit(&self) -> u32 {
        self.questions.prompt.max_tool_rounds.unwrap_or(DEFAULT_TOOL_ROUNDS)
    }

    fn endless(&self) -> RunFailure {
        let (id, name, most) = (&self.questions.prompt.id, self.model.name(), self.rounds_limit());
        let message = format!(
            "Prompt {id}: model {name} still calls tools after it was given their results {most} times"
        );
        RunFailure::new(codes::TOOL_ROUNDS_EXHAUSTED, Attribution::Target, message)
            .with_hint("Raise `maxToolRounds` of the prompt if its work takes more.")
    }

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
        let rounds = Rounds::of(&turn)?;
        if rounds.count() > self.rounds_limit() as usize {
            return Err(self.endless());
        }
        let request = self.questions.request(&turn, &rounds)?;
        let model = Announcing { model: self.model.as_ref(), waiting: turn.admission.waiting() };
        let reply = chat_in_span(&model, request, turn.span).await?;
        let (usage, first_chunk) = (reply.usage, reply.first_chunk);
        let paid = TargetReply { usage, first_chunk, ..TargetReply::default() };
        if self.questions.tools.answer_all(&reply.tool_calls) {
            self.questions.play_tools(&turn, &reply.tool_calls);
            return Ok(TargetReply { unfinished: Some(rounds.and_then(reply)?), ..paid });
        }
        let nothing = reply.tool_calls.is_empty().then(|| self.empty(&reply));
        let (content, tool_calls) = rounds.ended_with(reply);
        match nothing.filter(|_| content.trim().is_empty()) {
            Some(empty) => Err(empty),
            None => Ok(TargetReply { content, tool_calls, ..paid }),
        }
    }
}
