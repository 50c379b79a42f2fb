//! Doubles of the ports of execution: a stage on which runs are played without any network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::adapters::ScenarioTexts;
use scenario_worker::definitions::{Project, Scenario};
use scenario_worker::events::{
    Attribution, Budget, ProjectId, ReferenceId, RequestIdentity, RequestPayload, RunId, RunRequest,
    RunStarted, ScenarioId, SetId, TargetRef, TargetType, TelemetryReceipt, TokenUsage, ToolCall,
    TraceContext,
};
use scenario_worker::execution::cassette::{CassetteKey, CassetteLibrary, Exchange, Place, Recording};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::limits::{Gate, Waiting};
use scenario_worker::execution::orchestrator::{Orchestrator, Player, RunContext, RunEnd};
use scenario_worker::execution::planner::{PlanDefaults, Planner};
use scenario_worker::execution::ports::{
    ChatModel, ChatModelFactory, JournalError, OnUnknown, ProjectRepository, RunJournal, RunSpan, RunTrace,
    RunTracers, ScenarioRepository, SessionCall, SystemClock, TargetAdapter, TargetAdapters, TargetQuestions,
    TargetReply, TargetSpec, TargetTurn, TraceNote,
};
use scenario_worker::execution::signals::{Progress, StopReason, StopSignal};
use scenario_worker::execution::types::{
    ChatReply, ChatRequest, Conversation, Ending, ModelName, SceneRole, Session, SpanCounts, SpanEnd,
    SpanNote, SpanStart, TraceSpec, judging,
};
use serde_json::{Value, json};

use super::judge::{Does, JudgePlay, quoting};

/// The provider whose models have no price.
pub(crate) const UNPRICED: &str = "unpriced";
/// How long a run on this stage waits for the end of a session.
pub(crate) const SESSION_END: Duration = Duration::from_secs(7);
/// A run on this stage that finishes no step for this long is given up.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// What the agent under test does when it is asked.
#[derive(Clone)]
pub(crate) enum Agent {
    /// It says this.
    Says(&'static str),
    /// It says this in the first turn and never answers again.
    SaysOnce(&'static str),
    /// It fails.
    Fails(&'static str),
    /// It never answers.
    Hangs,
    /// It takes the worker down with it.
    Panics,
    /// It says this behind a gate.
    Gated(Gate, &'static str),
    /// Says what it says after some steps, each a call of its own, and may hang in one of them, from 0.
    InSteps { steps: u64, hangs_at: Option<u64> },
}

/// What the agent under test does about sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// It has none.
    None,
    /// It begins them, leaves each turn's in another state, and ends them.
    Kept,
    /// It does not begin any.
    NoBegin,
    /// It does not end them.
    NoEnd,
    /// It never comes to end them.
    EndHangs,
    /// It has a bug there.
    EndPanics,
}

/// Who never answers, beside the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangs {
    /// The judge.
    Judge,
    /// The store of definitions.
    Store,
}

/// When a run is another worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Before its first step is stored.
    AtOnce,
    /// While its trace is delivered.
    AtTheEnd,
}

/// What a run is played with; every field has a default that passes.
pub(crate) struct Stage {
    /// The scenario, if the project has it.
    pub(crate) scenario: Option<Scenario>,
    /// The project, if there is one.
    pub(crate) project: Option<Project>,
    /// The agent under test.
    pub(crate) agent: Agent,
    /// What the agent is told to do, if its type says so.
    pub(crate) instructions: Option<&'static str>,
    /// The customer's answers are this text.
    pub(crate) customer: &'static str,
    /// The judge asks for the verdict in this turn.
    pub(crate) verdict_in_turn: u32,
    /// Who never answers.
    pub(crate) hangs: Option<Hangs>,
    /// The judge's criteria entries; one that is met and has no evidence quotes the agent's first line.
    pub(crate) verdict: Value,
    /// Plays the judges, if they do anything else.
    pub(crate) judge: Option<JudgePlay>,
    /// What becomes of the spans.
    pub(crate) receipt: TelemetryReceipt,
    /// When another worker takes the run.
    pub(crate) lost: Option<Lost>,
    /// Whether the run is cancelled while its first step is recorded.
    pub(crate) cancelled_in_journal: bool,
    /// Where an earlier delivery left off.
    pub(crate) resumed: Option<Conversation>,
    /// Whether a run that took too long is judged on what it has.
    pub(crate) judge_on_timeout: bool,
    /// What the agent wants done about a call whose end is unknown.
    pub(crate) on_unknown: OnUnknown,
    /// What the agent does about sessions.
    pub(crate) session: Sessions,
    /// Tells the run to stop.
    pub(crate) stop: StopSignal,
    /// Keeps cassettes.
    pub(crate) cassettes: Arc<Shelf>,
    /// What was recorded.
    pub(crate) record: Arc<Record>,
}

/// A library of cassettes in memory.
#[derive(Default)]
pub(crate) struct Shelf {
    recordings: Mutex<BTreeMap<String, Recording>>,
    calls: Mutex<BTreeMap<(RunId, String, u32), Exchange>>,
}

/// What a run left behind.
#[derive(Default)]
pub(crate) struct Record {
    /// Who was asked in which turn: `U1` the customer, `A1` the agent, `J1` the judge whether to go on, `V1` for a verdict.
    pub(crate) asked: Mutex<Vec<String>>,
    /// The steps of turns that the agent was asked for.
    pub(crate) steps: Mutex<Vec<u64>>,
    /// What became of sessions: `begin`, `turn S` and `end S`, where `S` is the session as it was left.
    pub(crate) sessions: Mutex<Vec<String>>,
    /// What was noted on spans.
    pub(crate) notes: Arc<Mutex<Vec<SpanNote>>>,
    /// `started` events.
    pub(crate) started: Mutex<Vec<RunStarted>>,
    /// The last conversation that was recorded.
    pub(crate) conversation: Mutex<Option<Conversation>>,
    /// How often a trace was suspended.
    pub(crate) suspended: Mutex<usize>,
    /// How the trace was finished.
    pub(crate) finished: Mutex<Vec<SpanEnd>>,
    /// The ending that was recorded when the trace was finished.
    pub(crate) ending: Mutex<Option<Ending>>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            scenario: Some(scenario()),
            project: Some(project()),
            agent: Agent::Says("I am sorry"),
            instructions: Some("Be kind."),
            customer: "my mug broke",
            verdict_in_turn: 1,
            hangs: None,
            verdict: json!({ "c1": { "requirement": "r", "reasoning": "it did", "status": "met" } }),
            judge: None,
            receipt: TelemetryReceipt {
                trace_id: Some("t".into()),
                spans: 3,
                exported: 3,
                ..TelemetryReceipt::default()
            },
            lost: None,
            cancelled_in_journal: false,
            resumed: None,
            judge_on_timeout: true,
            on_unknown: OnUnknown::Retry,
            session: Sessions::None,
            stop: StopSignal::default(),
            cassettes: Arc::default(),
            record: Arc::default(),
        }
    }
}

/// A scenario with one criterion.
pub(crate) fn scenario() -> Scenario {
    serde_json::from_value(json!({
        "id": "refund",
        "name": "Refund",
        "situation": "A mug broke.",
        "criteria": ["The agent apologises"],
        "labels": ["support"],
        "maxTurns": 3,
    }))
    .unwrap()
}

/// A project with a default model.
pub(crate) fn project() -> Project {
    let id = ProjectId::parse("acme").unwrap();
    Project {
        id,
        name: None,
        default_model: Some("double/model".into()),
        telemetry: None,
        budget: Budget::default(),
        limits: None,
    }
}

/// A request for the scenario, as JSON over the minimal one.
pub(crate) fn request(more: &Value) -> Arc<RunRequest> {
    let mut payload = json!({ "projectId": "acme", "scenarioId": "refund", "target": { "type": "double", "referenceId": "a" } });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let identity = RequestIdentity {
        subject: "scenario.run.requested",
        message_id: Some("acme:1"),
        stored_as: "1",
        trace_context: None,
    };
    let payload = RequestPayload::decode(payload.to_string().as_bytes()).unwrap();
    Arc::new(payload.resolve(identity, &SetId::parse("default").unwrap()).unwrap())
}

impl Stage {
    /// Plays a run of `request`.
    pub(crate) async fn play(self, request: &Arc<RunRequest>) -> RunEnd {
        self.play_by(request, |orchestrator| Arc::new(orchestrator)).await
    }

    /// Gives a run of `request` up.
    pub(crate) async fn give_up(self, request: &Arc<RunRequest>, failure: RunFailure) -> RunEnd {
        self.play_by(request, |orchestrator| Arc::new(GivesUp(orchestrator, failure))).await
    }

    /// Lets another player play it, who has an orchestrator of this stage.
    pub(crate) async fn play_by(
        self,
        request: &Arc<RunRequest>,
        player: impl FnOnce(Orchestrator) -> Arc<dyn Player>,
    ) -> RunEnd {
        let (stop, resumed, record) = (self.stop.clone(), self.resumed.clone(), Arc::clone(&self.record));
        let cancels = self.cancelled_in_journal.then(|| stop.clone());
        let journal = Journal { lost: self.lost, cancels, record };
        let stage = Arc::new(self);
        let planner = Planner {
            scenarios: stage.clone(),
            projects: stage.clone(),
            models: stage.clone(),
            targets: stage.clone(),
            cassettes: stage.cassettes.clone(),
            texts: Arc::new(ScenarioTexts),
            defaults: PlanDefaults {
                max_turns: 10,
                timeout: Duration::from_mins(1),
                stall_timeout: STALL,
                judge_on_timeout: stage.judge_on_timeout,
                session_end: SESSION_END,
                model: None,
            },
        };
        let orchestrator = Orchestrator { planner, tracers: stage, clock: Arc::new(SystemClock) };
        let context =
            RunContext { attempt: 1, resumed, journal: &journal, stop: &stop, progress: Progress::default() };
        player(orchestrator).perform(request, context).await
    }
}

/// Gives every run up.
struct GivesUp(Orchestrator, RunFailure);

#[async_trait]
impl Player for GivesUp {
    async fn perform(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        self.0.give_up(request, self.1.clone(), context).await
    }
}

#[async_trait]
impl ScenarioRepository for Stage {
    async fn scenario(&self, _: &ProjectId, _: &ScenarioId) -> Result<Option<Scenario>, Unavailable> {
        if self.hangs == Some(Hangs::Store) {
            std::future::pending::<()>().await;
        }
        Ok(self.scenario.clone())
    }
}

#[async_trait]
impl ProjectRepository for Stage {
    async fn project(&self, _: &ProjectId) -> Result<Option<Project>, Unavailable> {
        Ok(self.project.clone())
    }
}

#[async_trait]
impl ChatModelFactory for Stage {
    async fn model(&self, _: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        let name = ModelName::parse(name).unwrap();
        Ok(Arc::new(Model {
            name,
            customer: self.customer,
            verdict_in_turn: self.verdict_in_turn,
            judge_hangs: self.hangs == Some(Hangs::Judge),
            verdict: self.verdict.clone(),
            judge: self.judge.clone(),
            record: Arc::clone(&self.record),
        }))
    }
}

struct Model {
    name: ModelName,
    customer: &'static str,
    verdict_in_turn: u32,
    judge_hangs: bool,
    verdict: Value,
    judge: Option<JudgePlay>,
    record: Arc<Record>,
}

impl Record {
    fn ask(&self, who: char, turn: u32) {
        self.asked.lock().unwrap().push(format!("{who}{turn}"));
    }
}

#[async_trait]
impl ChatModel for Model {
    fn knows_its_price(&self) -> bool {
        self.name.provider != UNPRICED
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn chat_watched(&self, request: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        let usage = TokenUsage { input_tokens: 10, output_tokens: 2, calls: 1, ..TokenUsage::default() };
        if request.scene.role == SceneRole::UserSimulator {
            self.record.ask('U', request.scene.turn);
            return Ok(ChatReply { content: self.customer.into(), usage, ..ChatReply::default() });
        }
        if self.judge_hangs {
            std::future::pending::<()>().await;
        }
        match self.judge.as_ref().map(|judge| judge(&self.name, request)) {
            Some(Does::Replies(reply)) => return Ok(ChatReply { usage, ..reply }),
            Some(Does::Fails(failure)) => return Err(failure),
            Some(Does::Hangs) => std::future::pending().await,
            None => {}
        }
        let name = request.form.spec().unwrap().name.clone();
        self.record.ask(if name == judging::DECIDE_TOOL { 'J' } else { 'V' }, request.scene.turn);
        let arguments = if name == judging::DECIDE_TOOL {
            let is_time = request.scene.turn >= self.verdict_in_turn;
            json!({ "reasoning": "hm", "decision": if is_time { "verdict" } else { "continue" } })
        } else {
            let criteria = quoting(self.verdict.clone(), &request.scene.transcript);
            json!({ "criteria": criteria, "reasoning": "All in all." })
        };
        let tool_calls = vec![ToolCall { id: "1".into(), name, arguments }];
        Ok(ChatReply { tool_calls, usage, ..ChatReply::default() })
    }
}

#[async_trait]
impl TargetAdapters for Stage {
    async fn adapter(&self, _: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let record = Arc::clone(&self.record);
        let Self { on_unknown, instructions, session, .. } = *self;
        let questions = Instructions(instructions);
        Ok(Box::new(Target { agent: self.agent.clone(), on_unknown, questions, session, record }))
    }

    async fn questions(&self, _: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        if self.instructions.is_none() {
            return Err(RunFailure::definition("target_not_found", "The agent is not there").into());
        }
        Ok(Some(Box::new(Instructions(self.instructions))))
    }
}

struct Instructions(Option<&'static str>);

impl TargetQuestions for Instructions {
    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        let mut asked = json!({ "instructions": self.0? });
        if let Some(so_far) = turn.so_far {
            asked["soFar"] = so_far.clone();
        }
        Some(asked)
    }
}

struct Target {
    agent: Agent,
    on_unknown: OnUnknown,
    questions: Instructions,
    session: Sessions,
    record: Arc<Record>,
}

impl Target {
    fn mark(&self, what: &str, session: &Session) {
        let mark = format!("{what} {}", session.expose().as_str().unwrap());
        self.record.sessions.lock().unwrap().push(mark);
    }
}

#[async_trait]
impl TargetAdapter for Target {
    async fn begin(&self, _: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        if self.session == Sessions::None {
            return Ok(None);
        }
        self.record.sessions.lock().unwrap().push("begin".into());
        if self.session == Sessions::NoBegin {
            return Err(RunFailure::new("http_status", Attribution::Target, "HTTP 503"));
        }
        Ok(Some(Session::new(json!("s0"))))
    }

    async fn end(&self, _: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        self.mark("end", &session);
        match self.session {
            Sessions::NoEnd => Err(RunFailure::new("http_status", Attribution::Target, "HTTP 500")),
            Sessions::EndHangs => std::future::pending().await,
            Sessions::EndPanics => panic!("the agent's adapter has a bug at the end"),
            _ => Ok(()),
        }
    }

    fn on_unknown(&self) -> OnUnknown {
        self.on_unknown
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.questions.asked(turn)
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        self.record.ask('A', turn.turn);
        if let Some(session) = turn.session {
            self.mark("turn", session);
        }
        let session = turn.session.map(|_| Session::new(json!(format!("s{}", turn.turn))));
        let says = |words: &str| TargetReply {
            content: words.into(),
            session: session.clone(),
            ..TargetReply::default()
        };
        match &self.agent {
            Agent::Says(words) => Ok(says(words)),
            Agent::SaysOnce(words) if turn.turn == 1 => Ok(says(words)),
            Agent::Fails(message) => Err(RunFailure::new("http_status", Attribution::Target, *message)),
            Agent::Hangs | Agent::SaysOnce(_) => std::future::pending().await,
            Agent::Gated(gate, words) => {
                let _passage = gate.enter(turn.admission.waiting()).await;
                Ok(says(words))
            }
            Agent::InSteps { steps, hangs_at } => {
                let step = turn.so_far.and_then(Value::as_u64).unwrap_or_default();
                self.record.steps.lock().unwrap().push(step);
                if *hangs_at == Some(step) {
                    std::future::pending::<()>().await;
                }
                let usage = TokenUsage { input_tokens: 10, output_tokens: 2, ..TokenUsage::default() };
                let first_chunk = Some(Duration::from_millis(3));
                let latency = Some(Duration::from_millis(10));
                let unfinished = (step < *steps).then(|| json!(step + 1));
                Ok(TargetReply { usage, first_chunk, latency, unfinished, ..says("I am sorry") })
            }
            Agent::Panics => panic!("the agent's adapter has a bug"),
        }
    }
}

impl Shelf {
    /// Every cassette with the run that it is of.
    pub(crate) fn recorded(&self) -> Vec<(String, RunId)> {
        let recordings = self.recordings.lock().unwrap();
        recordings.iter().map(|(name, recording)| (name.clone(), recording.run.clone())).collect()
    }

    /// Everything that is on it.
    pub(crate) fn to_text(&self) -> String {
        format!("{:?} {:?}", self.recordings.lock().unwrap(), self.calls.lock().unwrap())
    }
}

#[async_trait]
impl CassetteLibrary for Shelf {
    async fn recording(&self, cassette: &CassetteKey) -> Result<Option<Recording>, Unavailable> {
        Ok(self.recordings.lock().unwrap().get(&cassette.name).cloned())
    }

    async fn publish(&self, cassette: &CassetteKey, recording: &Recording) -> Result<(), Unavailable> {
        self.recordings.lock().unwrap().insert(cassette.name.clone(), recording.clone());
        Ok(())
    }

    async fn keep(
        &self,
        _: &ProjectId,
        run: &RunId,
        Place { lane, number }: &Place,
        exchange: &Exchange,
    ) -> Result<(), Unavailable> {
        self.calls.lock().unwrap().insert((run.clone(), lane.clone(), *number), exchange.clone());
        Ok(())
    }

    async fn recall(
        &self,
        _: &ProjectId,
        run: &RunId,
        Place { lane, number }: &Place,
    ) -> Result<Option<Exchange>, Unavailable> {
        Ok(self.calls.lock().unwrap().get(&(run.clone(), lane.clone(), *number)).cloned())
    }
}

struct Journal {
    lost: Option<Lost>,
    cancels: Option<StopSignal>,
    record: Arc<Record>,
}

#[async_trait]
impl RunJournal for Journal {
    async fn started(&self, _: &Conversation, event: RunStarted, _: &TraceNote) -> Result<(), JournalError> {
        self.record.started.lock().unwrap().push(event);
        Ok(())
    }

    async fn advanced(&self, conversation: &Conversation, _: &TraceNote) -> Result<(), JournalError> {
        let is_delivered = !self.record.finished.lock().unwrap().is_empty();
        if self.lost == Some(Lost::AtOnce) || self.lost.is_some() && is_delivered {
            return Err(JournalError::LeaseLost("revision 7".into()));
        }
        if let Some(stop) = self.cancels.as_ref().filter(|stop| stop.reason().is_none()) {
            stop.stop(StopReason::Cancelled);
            return std::future::pending().await;
        }
        *self.record.conversation.lock().unwrap() = Some(conversation.clone());
        Ok(())
    }
}

impl RunTracers for Stage {
    fn start(&self, _: TraceSpec) -> Box<dyn RunTrace> {
        let root = Span(Arc::clone(&self.record.notes));
        Box::new(Trace { receipt: self.receipt.clone(), record: Arc::clone(&self.record), root })
    }
}

struct Trace {
    receipt: TelemetryReceipt,
    record: Arc<Record>,
    root: Span,
}

#[async_trait]
impl RunTrace for Trace {
    fn trace_id(&self) -> String {
        "t".into()
    }

    fn root(&self) -> &dyn RunSpan {
        &self.root
    }

    async fn flush(&self) {}

    fn counts(&self) -> SpanCounts {
        SpanCounts::default()
    }

    async fn suspend(self: Box<Self>) -> SpanCounts {
        *self.record.suspended.lock().unwrap() += 1;
        SpanCounts::default()
    }

    async fn finish(self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let recorded = self.record.conversation.lock().unwrap().clone();
        *self.record.ending.lock().unwrap() = recorded.and_then(|conversation| conversation.ending);
        self.record.finished.lock().unwrap().push(end);
        self.receipt
    }
}

struct Span(Arc<Mutex<Vec<SpanNote>>>);

impl RunSpan for Span {
    fn child(&self, _: SpanStart) -> Box<dyn RunSpan> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    fn note(&self, note: SpanNote) {
        self.0.lock().unwrap().push(note);
    }

    fn context(&self) -> TraceContext {
        TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1, state: String::new() }
    }

    fn end(self: Box<Self>, _: SpanEnd) {}
}

/// The target of the requests.
pub(crate) fn target() -> TargetRef {
    TargetRef { kind: TargetType::parse("double").unwrap(), reference_id: ReferenceId::parse("a").unwrap() }
}
