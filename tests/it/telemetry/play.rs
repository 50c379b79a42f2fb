//! Runs as execution plays them.
#![expect(clippy::unwrap_used, reason = "a double that cannot work must fail its test")]

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::definitions::{ProviderKind, Sampling, Secret, TelemetryDestination, TelemetryProtocol};
use scenario_worker::events::{
    BatchRunId, Budget, CriterionResult, CriterionStatus, MessageRole, ModelOverrides, ProjectId,
    ReferenceId, RunId, RunKey, RunRequest, ScenarioId, SetId, TargetRef, TargetType, TelemetryReceipt,
    TokenUsage, ToolCall, TraceContext, TraceContextMode,
};
use scenario_worker::execution::ports::{RunSpan, RunTrace, RunTracers as _};
use scenario_worker::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, Criterion, Judgement, Message,
    ModelName, ModelServer, Scene, SceneRole, SpanCounts, SpanEnd, SpanStart, SpecialTokens, ToolSpec,
    TraceSpec,
};
use scenario_worker::telemetry::export::OtlpSender;
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::run::RunTracerFactory;
use serde_json::json;
use time::OffsetDateTime;

use crate::support::otlp_receiver::{DEADLINE, OtlpReceiver};

/// Spans that [`conversation`] makes, the root included.
pub(super) const SPANS: u64 = 7;

pub(super) fn factory() -> RunTracerFactory {
    factory_with(DEADLINE, Metrics::new().unwrap())
}

pub(super) fn factory_with(deadline: Duration, metrics: Metrics) -> RunTracerFactory {
    RunTracerFactory::new(OtlpSender::new(crate::support::egress::open()), None, deadline, metrics)
}

pub(super) fn destination(receiver: &OtlpReceiver, key: &str) -> TelemetryDestination {
    TelemetryDestination {
        endpoint: receiver.endpoint(),
        api_key: Some(Secret::new(key)),
        protocol: TelemetryProtocol::Langwatch,
        capture: None,
        events: None,
    }
}

pub(super) fn spec(project: &str, run: &str, destination: Option<TelemetryDestination>) -> TraceSpec {
    let run = RunId::parse(run).unwrap();
    let request = RunRequest {
        scenario_id: ScenarioId::parse("refund").unwrap(),
        target: target(),
        batch_run_id: BatchRunId::derive(&run),
        set_id: SetId::parse("default").unwrap(),
        key: RunKey { project: ProjectId::parse(project).unwrap(), run },
        parameters: serde_json::Map::new(),
        models: ModelOverrides::default(),
        max_turns: None,
        min_turns: None,
        timeout: None,
        trace_context_mode: TraceContextMode::Link,
        parent: None,
        budget: Budget::default(),
        cassette: None,
    };
    TraceSpec {
        earlier: SpanCounts::default(),
        request: Arc::new(request),
        scenario_name: "Refund request".into(),
        labels: vec!["support".into()],
        attempt: 1,
        started_at: OffsetDateTime::now_utc(),
        destination,
    }
}

pub(super) fn child_of(spec: TraceSpec, parent: TraceContext, mode: TraceContextMode) -> TraceSpec {
    let mut request = (*spec.request).clone();
    (request.parent, request.trace_context_mode) = (Some(parent), mode);
    TraceSpec { request: Arc::new(request), ..spec }
}

pub(super) fn target() -> TargetRef {
    TargetRef {
        kind: TargetType::parse("http").unwrap(),
        reference_id: ReferenceId::parse("shop-agent").unwrap(),
    }
}

pub(super) fn transcript(lines: &[(MessageRole, &str)]) -> Arc<[Message]> {
    let message = |(role, content): &(MessageRole, &str)| Message {
        turn: 1,
        role: *role,
        content: (*content).to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    lines.iter().map(message).collect()
}

pub(super) fn criteria() -> Arc<[Criterion]> {
    Criterion::number(&["The agent apologises".into(), "The agent offers a refund".into()]).into()
}

pub(super) fn judgement() -> Judgement {
    let result = |n: usize, status| {
        let Criterion { id, text } = criteria()[n].clone();
        CriterionResult::new(id, text, status, format!("because {n}"))
    };
    let results = vec![result(0, CriterionStatus::Met), result(1, CriterionStatus::Unmet)];
    Judgement::derive(results, "one is missing".into())
}

pub(super) fn chat(role: SceneRole) -> SpanStart {
    let tool = ToolSpec {
        name: "decide".into(),
        description: "Decides".into(),
        parameters: json!({ "type": "object" }),
    };
    SpanStart::Chat {
        model: ModelName::parse("oa/gpt-5-mini").unwrap(),
        server: Some(ModelServer {
            kind: ProviderKind::Openai,
            host: Some("api.example".into()),
            port: Some(8443),
        }),
        request: Arc::new(ChatRequest {
            messages: vec![
                ChatMessage::new(ChatRole::System, "Be a customer."),
                ChatMessage::new(ChatRole::User, "Begin."),
            ],
            form: if role == SceneRole::Judge { AnswerForm::Tool(tool) } else { AnswerForm::Words },
            options: ChatOptions::default(),
            sampling: Sampling { temperature: Some(0.5), max_tokens: Some(100), ..Sampling::default() },
            scene: Scene { role, turn: 1, transcript: transcript(&[]), criteria: criteria() },
        }),
    }
}

pub(super) fn reply() -> SpanEnd {
    SpanEnd::Replied(ChatReply {
        content: "My mug is broken.".into(),
        tool_calls: Vec::new(),
        usage: TokenUsage { input_tokens: 11, output_tokens: 5, calls: 1, ..TokenUsage::default() },
        special: SpecialTokens { cache_read: Some(4), cache_creation: Some(0), reasoning: Some(2) },
        model: Some("gpt-5-mini-2025".into()),
        response_id: Some("resp_1".into()),
        finish_reason: Some("stop".into()),
        ..ChatReply::default()
    })
}

pub(super) fn said(content: &str, tokens: u64) -> SpanEnd {
    SpanEnd::Said {
        content: content.into(),
        tool_calls: Vec::new(),
        usage: TokenUsage { input_tokens: tokens, output_tokens: tokens, calls: 1, ..TokenUsage::default() },
        first_chunk: None,
    }
}

pub(super) fn called_a_tool() -> SpanEnd {
    let call = ToolCall { id: "t1".into(), name: "refund".into(), arguments: json!({ "order": 7 }) };
    SpanEnd::Said {
        content: "Done.".into(),
        tool_calls: vec![call],
        usage: TokenUsage::default(),
        first_chunk: None,
    }
}

/// One turn with every kind of span below the root: seven spans in all.
pub(super) fn conversation(trace: &dyn RunTrace) {
    let turn = trace.root().child(SpanStart::Turn { number: 1 });
    let customer = turn.child(SpanStart::UserSimulator { transcript: transcript(&[]) });
    customer.child(chat(SceneRole::UserSimulator)).end(reply());
    customer.end(said("My mug is broken.", 11));
    let line = transcript(&[(MessageRole::User, "My mug is broken.")]);
    turn.child(SpanStart::Target { target: target(), transcript: line }).end(said("I am sorry.", 3));
    let all =
        transcript(&[(MessageRole::User, "My mug is broken."), (MessageRole::Assistant, "I am sorry.")]);
    let judge = turn.child(SpanStart::Judge { transcript: all, criteria: criteria() });
    judge.child(chat(SceneRole::Judge)).end(reply());
    judge.end(SpanEnd::Judged(judgement()));
    turn.end(SpanEnd::Done);
}

/// A whole run.
pub(super) async fn run(factory: &RunTracerFactory, spec: TraceSpec) -> TelemetryReceipt {
    let trace = factory.start(spec);
    conversation(&*trace);
    trace.finish(SpanEnd::Judged(judgement())).await
}

/// A span that outlives whatever made it.
pub(super) fn open_turn(trace: &dyn RunTrace) -> Box<dyn RunSpan> {
    trace.root().child(SpanStart::Turn { number: 9 })
}
