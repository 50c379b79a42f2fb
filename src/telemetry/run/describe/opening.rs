//! How spans begin.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use serde_json::{Value, json};

use super::super::attributes as key;
use super::super::content::{
    arguments, chat_messages, cut, envelope, input_messages, instructions, tool_definitions, transcript,
};
use super::resource::{SERVICE, VERSION, strings};
use super::{Opening, Work};
use crate::definitions::ProviderKind;
use crate::events::{TargetRef, ToolCall};
use crate::execution::types::{
    ChatRequest, Criterion, Message, ModelName, ModelServer, SpanStart, TraceSpec,
};

/// The kind of target that is played inside the worker; every other is somewhere else.
const LOCAL_TARGET: &str = "prompt";

/// The root span of a run. It began when the run did, or now if the clock says otherwise.
#[expect(clippy::too_many_lines, reason = "one line for each attribute, as a table")]
pub(in super::super) fn root(spec: &TraceSpec) -> Opening {
    let target = &spec.request.target;
    Opening {
        name: "langwatch.scenario.run".to_owned(),
        kind: SpanKind::Internal,
        work: Work::Run,
        attributes: vec![
            KeyValue::new(key::LANGWATCH_SPAN_TYPE, "workflow"),
            KeyValue::new(key::LANGWATCH_ORIGIN, key::ORIGIN_SIMULATION),
            KeyValue::new(key::LANGWATCH_LABELS, strings(&spec.labels)),
            KeyValue::new(key::GEN_AI_OPERATION, "invoke_workflow"),
            KeyValue::new(key::GEN_AI_WORKFLOW_NAME, cut(&spec.scenario_name)),
            KeyValue::new(key::GEN_AI_CONVERSATION, spec.request.key.run.to_string()),
            KeyValue::new(key::SCENARIO_SDK_NAME, SERVICE),
            KeyValue::new(key::SCENARIO_SDK_VERSION, VERSION),
            KeyValue::new(key::SCENARIO_NAME, cut(&spec.scenario_name)),
            KeyValue::new(key::SCENARIO_ATTEMPT, i64::from(spec.attempt)),
            KeyValue::new(key::SCENARIO_TARGET_TYPE, target.kind.to_string()),
            KeyValue::new(key::SCENARIO_TARGET_ID, target.reference_id.to_string()),
        ],
        started_at: Some(SystemTime::from(spec.started_at).min(SystemTime::now())),
    }
}

/// The span of a piece of work. `run_id` is the conversation that it belongs to.
pub(in super::super) fn opening(start: &SpanStart, run_id: &str) -> Opening {
    match start {
        SpanStart::Turn { number } => turn(*number),
        SpanStart::UserSimulator { transcript } => user_simulator(transcript),
        SpanStart::Target { target, transcript } => invoke_agent(target, transcript, run_id),
        SpanStart::Judge { transcript, criteria } => judge(transcript, criteria),
        SpanStart::Chat { model, server, request } => chat(model, server.as_ref(), request, run_id),
        SpanStart::Tool { call } => execute_tool(call, run_id),
    }
}

fn internal(name: &str, work: Work, attributes: Vec<KeyValue>) -> Opening {
    Opening { name: name.to_owned(), kind: SpanKind::Internal, work, attributes, started_at: None }
}

fn turn(number: u32) -> Opening {
    internal(
        "langwatch.scenario.turn",
        Work::Turn,
        vec![
            KeyValue::new(key::LANGWATCH_SPAN_TYPE, "chain"),
            KeyValue::new(key::SCENARIO_TURN, i64::from(number)),
        ],
    )
}

fn user_simulator(messages: &[Message]) -> Opening {
    internal("langwatch.user_simulator.call", Work::UserSimulator, role("User", messages))
}

fn judge(messages: &[Message], criteria: &[Criterion]) -> Opening {
    let criteria: Value = criteria.iter().map(|c| json!({ "id": c.id, "text": cut(&c.text) })).collect();
    let input = json!({ "messages": transcript(messages), "criteria": criteria });
    internal(
        "langwatch.judge.call",
        Work::Judge,
        vec![
            KeyValue::new(key::LANGWATCH_SPAN_TYPE, "agent"),
            KeyValue::new(key::SCENARIO_ROLE, "Judge"),
            KeyValue::new(key::LANGWATCH_INPUT, envelope("json", &input)),
        ],
    )
}

fn role(name: &'static str, messages: &[Message]) -> Vec<KeyValue> {
    vec![
        KeyValue::new(key::LANGWATCH_SPAN_TYPE, "agent"),
        KeyValue::new(key::SCENARIO_ROLE, name),
        // As `chat_messages`, LangWatch would take the span for a call of a model.
        KeyValue::new(key::LANGWATCH_INPUT, envelope("json", &transcript(messages))),
    ]
}

fn invoke_agent(target: &TargetRef, messages: &[Message], run_id: &str) -> Opening {
    let reference = target.reference_id.as_str();
    let remote = target.kind.as_str() != LOCAL_TARGET;
    let mut attributes = role("Agent", messages);
    attributes.extend([
        KeyValue::new(key::GEN_AI_OPERATION, "invoke_agent"),
        KeyValue::new(key::GEN_AI_AGENT_ID, reference.to_owned()),
        KeyValue::new(key::GEN_AI_AGENT_NAME, reference.to_owned()),
        KeyValue::new(key::GEN_AI_CONVERSATION, run_id.to_owned()),
        KeyValue::new(key::SCENARIO_TARGET_TYPE, target.kind.to_string()),
    ]);
    Opening {
        name: format!("invoke_agent {reference}"),
        kind: if remote { SpanKind::Client } else { SpanKind::Internal },
        work: Work::Target,
        attributes,
        started_at: None,
    }
}

fn execute_tool(call: &ToolCall, run_id: &str) -> Opening {
    let mut attributes = vec![
        KeyValue::new(key::LANGWATCH_SPAN_TYPE, "tool"),
        KeyValue::new(key::GEN_AI_OPERATION, "execute_tool"),
        KeyValue::new(key::GEN_AI_TOOL_NAME, call.name.clone()),
        KeyValue::new(key::GEN_AI_TOOL_TYPE, "function"),
        KeyValue::new(key::GEN_AI_CONVERSATION, run_id.to_owned()),
        KeyValue::new(key::GEN_AI_TOOL_ARGUMENTS, arguments(call).to_string()),
        KeyValue::new(key::LANGWATCH_INPUT, envelope("json", &arguments(call))),
    ];
    if !call.id.is_empty() {
        attributes.push(KeyValue::new(key::GEN_AI_TOOL_CALL_ID, call.id.clone()));
    }
    internal(&format!("execute_tool {}", call.name), Work::Tool, attributes)
}

/// A model that nobody is known to serve has its provider's id where the word for its provider would be.
fn served(model: &ModelName, server: Option<&ModelServer>) -> Vec<KeyValue> {
    let provider = server.map_or_else(|| model.provider.clone(), |server| word(server.kind).to_owned());
    let (host, port) = server.map(|server| (server.host.clone(), server.port)).unwrap_or_default();
    let address = [
        host.map(|host| KeyValue::new(key::SERVER_ADDRESS, host)),
        port.map(|port| KeyValue::new(key::SERVER_PORT, i64::from(port))),
    ];
    let named = [
        KeyValue::new(key::GEN_AI_PROVIDER, provider),
        KeyValue::new(key::SCENARIO_PROVIDER, model.provider.clone()),
    ];
    named.into_iter().chain(address.into_iter().flatten()).collect()
}

/// The convention's words; it has none for a provider that is no server.
fn word(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Openai => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Gemini => "gcp.gemini",
        ProviderKind::Scripted => "scripted",
    }
}

fn chat(model: &ModelName, server: Option<&ModelServer>, request: &ChatRequest, run_id: &str) -> Opening {
    let mut attributes = vec![
        KeyValue::new(key::LANGWATCH_SPAN_TYPE, "llm"),
        KeyValue::new(key::GEN_AI_OPERATION, "chat"),
        KeyValue::new(key::GEN_AI_REQUEST_MODEL, model.model.clone()),
        KeyValue::new(key::GEN_AI_CONVERSATION, run_id.to_owned()),
    ];
    attributes.extend(served(model, server));
    attributes.extend(question(request));
    Opening {
        name: format!("chat {}", model.model),
        kind: SpanKind::Client,
        work: Work::Chat,
        attributes,
        started_at: None,
    }
}

fn question(request: &ChatRequest) -> Vec<KeyValue> {
    let options = &request.options;
    let optional = [
        request.sampling.temperature.map(|t| KeyValue::new(key::GEN_AI_TEMPERATURE, t)),
        request.sampling.seed.and_then(|n| i64::try_from(n).ok()).map(|n| KeyValue::new(key::GEN_AI_SEED, n)),
        request.sampling.max_tokens.map(|n| KeyValue::new(key::GEN_AI_MAX_TOKENS, i64::from(n))),
        instructions(&request.messages).map(|text| KeyValue::new(key::GEN_AI_INSTRUCTIONS, text)),
        tool_definitions(request.form.spec().into_iter().chain(&options.tools))
            .map(|tools| KeyValue::new(key::GEN_AI_TOOLS, tools)),
        options.stream.then(|| KeyValue::new(key::GEN_AI_STREAM, true)),
        options.top_p.map(|p| KeyValue::new(key::GEN_AI_TOP_P, p)),
        options.frequency_penalty.map(|p| KeyValue::new(key::GEN_AI_FREQUENCY_PENALTY, p)),
        options.presence_penalty.map(|p| KeyValue::new(key::GEN_AI_PRESENCE_PENALTY, p)),
        (!options.stop.is_empty()).then(|| KeyValue::new(key::GEN_AI_STOP, strings(&options.stop))),
    ];
    let asked = [
        KeyValue::new(key::GEN_AI_INPUT, input_messages(&request.messages)),
        KeyValue::new(key::LANGWATCH_INPUT, envelope("chat_messages", &chat_messages(&request.messages))),
    ];
    asked.into_iter().chain(optional.into_iter().flatten()).collect()
}
