//! What execution needs of the world. Each trait is implemented by another room.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::failure::{PlanError, RunFailure, Unavailable};
use super::limits::{Admission, Unwatched, Waiting};
use super::types::{
    ChatOptions, ChatReply, ChatRequest, Conversation, Heard, Message, ModelName, ModelServer, Session,
    SpanCounts, SpanEnd, SpanNote, SpanStart, TraceSpec,
};
use crate::definitions::{AgentDefinition, Project, Prompt, Provider, Sampling, Scenario, Secret, Secrets};
use crate::events::{
    ProjectId, ReferenceId, RunKey, RunRequest, RunStarted, ScenarioId, TargetRef, TelemetryReceipt,
    TokenUsage, ToolCall, TraceContext,
};

/// Finds scenarios.
#[async_trait]
pub trait ScenarioRepository: Send + Sync {
    /// The scenario `id` of `project`, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn scenario(&self, project: &ProjectId, id: &ScenarioId) -> Result<Option<Scenario>, Unavailable>;
}

/// Finds projects.
#[async_trait]
pub trait ProjectRepository: Send + Sync {
    /// The project `id`, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, Unavailable>;
}

/// A model that can be talked to.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Its full name.
    fn name(&self) -> &ModelName;

    /// The model that this one only adds something to. What this one does not say of itself, that one does.
    fn behind(&self) -> Option<&dyn ChatModel> {
        None
    }

    /// Who serves it, where that is known.
    fn server(&self) -> Option<ModelServer> {
        self.behind()?.server()
    }

    /// Whether its replies say what they cost.
    fn knows_its_price(&self) -> bool {
        match self.behind() {
            Some(model) => model.knows_its_price(),
            None => false,
        }
    }

    /// Why it cannot be asked with these settings, if it cannot, in words that follow on its name.
    fn objection(&self, sampling: &Sampling, options: &ChatOptions) -> Option<String> {
        self.behind()?.objection(sampling, options)
    }

    /// Asks it. Retries and time limits are its own business.
    ///
    /// # Errors
    /// As [`ChatModel::chat_watched`].
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, RunFailure> {
        self.chat_watched(request, &Unwatched).await
    }

    /// Asks it, and tells `waiting` while a call has to wait for its turn. A model that is not limited never waits.
    ///
    /// # Errors
    /// [`RunFailure`] attributed to the model's provider.
    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure>;
}

/// Turns the name of a model into a client for it.
#[async_trait]
pub trait ChatModelFactory: Send + Sync {
    /// The model `name` (`provider/model`) by the providers of `project`.
    ///
    /// # Errors
    /// A failure with reason `invalid_model_format`, `provider_not_found`, `provider_not_enabled` or
    /// `missing_params`, or [`Unavailable`] if the store does not answer.
    async fn model(&self, project: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError>;

    /// Who would serve that model, where that is known: a replay asks nobody, and says who was asked.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn server(
        &self,
        _project: &ProjectId,
        _name: &ModelName,
    ) -> Result<Option<ModelServer>, Unavailable> {
        Ok(None)
    }
}

/// What an adapter is created from.
#[derive(Debug, Clone)]
pub struct TargetSpec {
    /// The project that the target belongs to.
    pub project: Project,
    /// The target.
    pub target: TargetRef,
    /// The run's parameters, for templates.
    pub parameters: Map<String, Value>,
    /// Secrets of this run alone; they come before the project's of the same name.
    pub secrets: Secrets,
    /// The model of a target that names none, as `provider/model`.
    pub default_model: Option<String>,
    /// What an adapter of this run has kept of the target's definition before; see [`TargetAdapter::kept`].
    pub kept: Option<Value>,
}

/// One turn of the agent under test.
pub struct TargetTurn<'a> {
    /// The run; its id is the thread id.
    pub run: &'a RunKey,
    /// The turn, from 1.
    pub turn: u32,
    /// What was said, the line to answer last.
    pub transcript: &'a Arc<[Message]>,
    /// The call's span: its context travels to the agent, its children are the adapter's own calls.
    pub span: &'a dyn RunSpan,
    /// The session that the adapter has begun, as it was left.
    pub session: Option<&'a Session>,
    /// What the turn knows of the limits of its calls.
    pub admission: Admission<'a>,
    /// How far the turn is, where it takes more than one call; see [`TargetReply::unfinished`].
    pub so_far: Option<&'a Value>,
}

/// The beginning or the end of a session.
#[derive(Clone, Copy)]
pub struct SessionCall<'a> {
    /// The run; its id is the thread id.
    pub run: &'a RunKey,
    /// The span that it belongs to: its context travels to the agent.
    pub span: &'a dyn RunSpan,
}

/// What the agent under test answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetReply {
    /// Its words.
    pub content: String,
    /// The tools that it called.
    pub tool_calls: Vec<ToolCall>,
    /// Tokens that it reports; `calls` is counted by whoever calls.
    pub usage: TokenUsage,
    /// Whether it may have called tools of which nothing is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool_calls_unknown: bool,
    /// How long it took, where the adapter knows better than whoever calls.
    pub latency: Option<Duration>,
    /// How long its first words took, where they came bit by bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_chunk: Option<Duration>,
    /// The session as this turn has left it, if that is another than it was. It goes into the checkpoint and nowhere else.
    #[serde(skip)]
    pub session: Option<Session>,
    /// The turn is not over: the target is to be asked again in it, and given this. It is stored with the run first, so that
    /// whoever goes on with the run goes on there. Only usage and times of such a reply count; its words and calls are those
    /// of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Value>,
}

/// What to do about a call that was under way when its worker was lost: nobody knows whether it did its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Make it again, under the same idempotency key.
    #[default]
    Retry,
    /// Give the run up.
    Fail,
}

/// The agent under test.
#[async_trait]
pub trait TargetAdapter: Send + Sync {
    /// The target that this one only adds something to. What this one does not say or do itself, that one does.
    fn behind(&self) -> Option<&dyn TargetAdapter> {
        None
    }

    /// What to do about a call whose end is unknown.
    fn on_unknown(&self) -> OnUnknown {
        match self.behind() {
            Some(target) => target.on_unknown(),
            None => OnUnknown::default(),
        }
    }

    /// Whether replies tell which tools the agent called. Where they do not, no check of its tools is ever met.
    fn reports_tool_calls(&self) -> bool {
        match self.behind() {
            Some(target) => target.reports_tool_calls(),
            None => true,
        }
    }

    /// Whether its replies say what the models behind it cost, as far as they are this run's to pay.
    fn knows_its_price(&self) -> bool {
        match self.behind() {
            Some(target) => target.knows_its_price(),
            None => true,
        }
    }

    /// Whether calls of it carry the run's trace context, so that it may send spans of its own.
    fn continues_trace(&self) -> bool {
        match self.behind() {
            Some(target) => target.continues_trace(),
            None => false,
        }
    }

    /// Takes the credentials that it knows out of what the target tells of itself.
    fn scrub(&self, told: &mut Value) {
        if let Some(target) = self.behind() {
            target.scrub(told);
        }
    }

    /// What of the target's definition must stay as it is for as long as the run lasts, free of credentials. Whoever goes on with the run
    /// gets it back as [`TargetSpec::kept`].
    fn kept(&self) -> Option<Value> {
        self.behind()?.kept()
    }

    /// What [`TargetAdapter::reply`] would ask in this turn; see [`TargetQuestions::asked`].
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.behind()?.asked(turn)
    }

    /// Begins a session before the first turn, if the target has any. It is stored with the run, so that whoever goes on
    /// with the run goes on with it; one whose begin was under way when its worker was lost is begun again.
    ///
    /// # Errors
    /// [`RunFailure`], as [`TargetAdapter::reply`].
    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        match self.behind() {
            Some(target) => target.begin(call).await,
            None => Ok(None),
        }
    }

    /// Ends a session that was begun, whatever the run came to. It may be ended twice where a worker is lost right behind
    /// the end.
    ///
    /// # Errors
    /// [`RunFailure`], as [`TargetAdapter::reply`]. It does not change what the run came to.
    async fn end(&self, call: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        match self.behind() {
            Some(target) => target.end(call, session).await,
            None => Ok(()),
        }
    }

    /// Lets the agent answer the customer's last line.
    ///
    /// # Errors
    /// [`RunFailure`], attributed to the target unless somebody else is to blame.
    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure>;
}

/// Knows what a target would be asked, and asks nobody.
pub trait TargetQuestions: Send + Sync {
    /// What would be asked in this turn, free of credentials and of all that is different in every run: ids, times,
    /// traces. `None` if the type does not say, or nothing would be asked.
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value>;
}

/// Makes adapters for targets of any registered type.
#[async_trait]
pub trait TargetAdapters: Send + Sync {
    /// An adapter for one run of `spec`'s target.
    ///
    /// # Errors
    /// A failure if the type is unknown, the target does not exist or its definition cannot work, or
    /// [`Unavailable`] if the store does not answer.
    async fn adapter(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError>;

    /// What `spec`'s target would be asked; `None` if its type does not say. Nothing has to be there that only an answer
    /// needs, such as secrets.
    ///
    /// # Errors
    /// A failure if the target does not exist or its definition cannot work, or [`Unavailable`] if the store does not
    /// answer.
    async fn questions(&self, _spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        Ok(None)
    }
}

/// What texts of a scenario may read.
#[derive(Debug, Clone, Copy)]
pub struct TextValues<'a> {
    /// Parameters with a value: each is `{{ name }}` and `{{ params.name }}`.
    pub plain: &'a Map<String, Value>,
    /// Names of secret parameters, which no text may read.
    pub secrets: &'a [&'a str],
}

/// Why a text could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextProblem {
    /// It reads names that have no value.
    #[error("it reads {}, which has no value", .0.join(", "))]
    Missing(Vec<String>),
    /// It reads secrets.
    #[error("it reads the secret {}", .0.join(", "))]
    Secret(Vec<String>),
    /// It is no template that can be used.
    #[error("{0}")]
    Invalid(String),
}

/// Fills values into the texts of a scenario.
pub trait TextTemplates: Send + Sync {
    /// `text` with `values` filled in; whatever it reads must have a value. A text that is no template stays as it is.
    ///
    /// # Errors
    /// [`TextProblem`], which never holds a secret's value.
    fn fill_in(&self, text: &str, values: TextValues<'_>) -> Result<String, TextProblem>;

    /// Whether `text` can be filled in at all: with `values` or with others for the same names, which is why a value may
    /// be null.
    ///
    /// # Errors
    /// [`TextProblem`]; its missing names are those that `values` does not have.
    fn check(&self, text: &str, values: TextValues<'_>) -> Result<(), TextProblem>;

    /// Whether `text` can be a template of a prompt.
    ///
    /// # Errors
    /// Why it cannot.
    fn check_prompt(&self, text: &str) -> Result<(), String>;

    /// Whether `result` can be what a tool of a prompt answers: JSON whose texts are templates.
    ///
    /// # Errors
    /// Why it cannot, and where in it.
    fn check_result(&self, result: &Value) -> Result<(), String>;
}

/// A span of a run. Dropped without [`RunSpan::end`], it ends as abandoned.
pub trait RunSpan: Send + Sync {
    /// Begins a span below this one.
    fn child(&self, start: SpanStart) -> Box<dyn RunSpan>;

    /// This span's context, for a callee that may continue the trace.
    fn context(&self) -> TraceContext;

    /// Writes down what happened in the middle of the work. A span that records nothing leaves it out.
    fn note(&self, _note: SpanNote) {}

    /// Ends the span.
    fn end(self: Box<Self>, end: SpanEnd);
}

/// Spans that the target of a run sends itself.
#[async_trait]
pub trait TargetSpans: Send + Sync {
    /// Spans below the span `call` (16 hexadecimal digits), which an earlier worker made, belong to the run, too.
    fn expect(&self, call: &str);

    /// What the target did below the span `call`. It waits until that settles: something came, and nothing that came
    /// points to more. The patience for that has an end.
    async fn below(&self, call: &str) -> Heard;
}

/// The trace of one run, from its root to its delivery.
#[async_trait]
pub trait RunTrace: Send + Sync {
    /// The trace id, as 32 hexadecimal digits.
    fn trace_id(&self) -> String;

    /// The root span.
    fn root(&self) -> &dyn RunSpan;

    /// Spans of the target itself; `None` where nobody listens for them.
    fn target_spans(&self) -> Option<&dyn TargetSpans> {
        None
    }

    /// Begins to send the spans that have ended, so that the trace can be watched, and does not wait for the endpoint. A
    /// failure is kept for [`RunTrace::finish`].
    async fn flush(&self);

    /// Spans of the run so far, earlier deliveries included.
    fn counts(&self) -> SpanCounts;

    /// Delivers what is left without the root, which whoever goes on with the run will end.
    async fn suspend(self: Box<Self>) -> SpanCounts;

    /// Ends the root and delivers what is left. It never fails: what went wrong is in the receipt.
    async fn finish(self: Box<Self>, end: SpanEnd) -> TelemetryReceipt;
}

/// Starts traces.
pub trait RunTracers: Send + Sync {
    /// Starts the trace of a run.
    fn start(&self, spec: TraceSpec) -> Box<dyn RunTrace>;
}

/// Why a run must stop without an outcome: it is not this worker's any more, or it cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another worker has the run.
    #[error("the run belongs to another worker now: {0}")]
    LeaseLost(String),
    /// The conversation is larger than what can be recorded.
    #[error("the conversation of {bytes} bytes is larger than the broker takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// What the worker runs on did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What a run's events say of its trace.
#[derive(Debug, Clone)]
pub struct TraceNote {
    /// The trace id, as 32 hexadecimal digits.
    pub trace_id: String,
    /// The root's context, for a run whose request brought one; other events carry no trace headers.
    pub context: Option<TraceContext>,
}

/// Records a run's progress where it survives the worker, and tells the world.
#[async_trait]
pub trait RunJournal: Send + Sync {
    /// The run begins: the conversation is stored first, with when that was, then the event is published. One that is
    /// there already stays.
    ///
    /// # Errors
    /// [`JournalError`] if the run may not go on.
    async fn started(
        &self,
        conversation: &Conversation,
        event: RunStarted,
        trace: &TraceNote,
    ) -> Result<(), JournalError>;

    /// A step is finished: the conversation is stored first, then its new messages are published.
    ///
    /// # Errors
    /// [`JournalError`] if the run may not go on.
    async fn advanced(&self, conversation: &Conversation, trace: &TraceNote) -> Result<(), JournalError>;
}

/// Checks a request against the definitions before it is scheduled.
#[async_trait]
pub trait RequestValidator: Send + Sync {
    /// Resolves everything that the run would need.
    ///
    /// # Errors
    /// The first thing that cannot be resolved, or that the store does not answer.
    async fn validate(&self, request: &RunRequest) -> Result<(), PlanError>;
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// Finds the model providers of a project.
#[async_trait]
pub trait ProviderRepository: Send + Sync {
    /// The providers of `project`, disabled ones included.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn providers(&self, project: &ProjectId) -> Result<Vec<Provider>, Unavailable>;
}

/// Finds prompts.
#[async_trait]
pub trait PromptRepository: Send + Sync {
    /// The prompt `id` of `project`, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn prompt(&self, project: &ProjectId, id: &ReferenceId) -> Result<Option<Prompt>, Unavailable>;
}

/// Finds agents under test.
#[async_trait]
pub trait AgentRepository: Send + Sync {
    /// The agent `id` of `project`, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn agent(
        &self,
        project: &ProjectId,
        id: &ReferenceId,
    ) -> Result<Option<AgentDefinition>, Unavailable>;
}

/// Finds secrets.
#[async_trait]
pub trait SecretRepository: Send + Sync {
    /// The secrets of `project` by name.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn secrets(&self, project: &ProjectId) -> Result<Secrets, Unavailable>;

    /// Values of `project` that no definition may name here, and that must not be seen all the same: of its secrets those
    /// that [`SecretRepository::secrets`] leaves out.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    async fn hidden(&self, _: &ProjectId) -> Result<Vec<Secret>, Unavailable> {
        Ok(Vec::new())
    }
}
