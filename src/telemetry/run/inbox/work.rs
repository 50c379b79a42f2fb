//! What work a span stands for, by the conventions that agents use: OpenTelemetry's for generative AI, `OpenInference`'s,
//! Traceloop's, LangWatch's, and those of Vercel's AI SDK.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;

use crate::execution::types::{TargetWork, WorkKind};
use crate::telemetry::receiver::plain_value;
use crate::text::cut;

/// The most bytes of a name.
const MAX_NAME: usize = 128;
/// The most bytes of a tool's arguments, as JSON; longer ones become a text that is cut.
const MAX_ARGUMENTS: usize = 8 * 1024;
/// The most bytes of what came of a tool's call.
const MAX_RESULT: usize = 1024;
/// The most bytes of an error.
const MAX_ERROR: usize = 512;

/// Attributes that say what kind of work it is, and their values for each kind.
const KINDS: [(&str, &[(&str, WorkKind)]); 4] = [
    (
        "gen_ai.operation.name",
        &[
            ("execute_tool", WorkKind::Tool),
            ("chat", WorkKind::Model),
            ("text_completion", WorkKind::Model),
            ("generate_content", WorkKind::Model),
            ("embeddings", WorkKind::Model),
            ("invoke_agent", WorkKind::Agent),
            ("create_agent", WorkKind::Agent),
            ("invoke_workflow", WorkKind::Agent),
        ],
    ),
    (
        "openinference.span.kind",
        &[
            ("tool", WorkKind::Tool),
            ("llm", WorkKind::Model),
            ("embedding", WorkKind::Model),
            ("agent", WorkKind::Agent),
        ],
    ),
    (
        "traceloop.span.kind",
        &[("tool", WorkKind::Tool), ("agent", WorkKind::Agent), ("workflow", WorkKind::Agent)],
    ),
    (
        "langwatch.span.type",
        &[("tool", WorkKind::Tool), ("llm", WorkKind::Model), ("agent", WorkKind::Agent)],
    ),
];
/// Attributes that only spans of one kind have.
const SIGNS: [(&str, WorkKind); 6] = [
    ("gen_ai.tool.name", WorkKind::Tool),
    ("ai.toolCall.name", WorkKind::Tool),
    ("tool.name", WorkKind::Tool),
    ("gen_ai.request.model", WorkKind::Model),
    ("llm.model_name", WorkKind::Model),
    ("gen_ai.agent.name", WorkKind::Agent),
];
const TOOL_NAMES: [&str; 4] = ["gen_ai.tool.name", "ai.toolCall.name", "tool.name", "traceloop.entity.name"];
/// What stands before the tool in the name of its span (OpenTelemetry for generative AI).
const TOOL_SPAN_PREFIX: &str = "execute_tool ";
const MODEL_NAMES: [&str; 4] =
    ["gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "ai.model.id"];
const AGENT_NAMES: [&str; 2] = ["gen_ai.agent.name", "traceloop.entity.name"];
const CALL_IDS: [&str; 3] = ["gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id"];
const ARGUMENTS: [&str; 6] = [
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "input.value",
    "traceloop.entity.input",
    "langwatch.input",
    "tool.arguments",
];
const RESULTS: [&str; 5] = [
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "output.value",
    "traceloop.entity.output",
    "langwatch.output",
];
const INPUT_TOKENS: [&str; 3] =
    ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"];
const OUTPUT_TOKENS: [&str; 3] =
    ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"];
/// Around what LangWatch and Traceloop wrap inputs and outputs.
const WRAPPERS: [&str; 4] = ["value", "inputs", "outputs", "output"];
const ERROR_TYPE: &str = "error.type";
/// The event of an error, and what it says (OpenTelemetry, exceptions on spans).
const EXCEPTION: &str = "exception";
const EXCEPTION_SAYS: [&str; 2] = ["exception.message", "exception.type"];

/// The work that `span` stands for.
pub(super) fn of(span: &Span) -> TargetWork {
    let kind = kind(span);
    let is_tool = kind == WorkKind::Tool;
    TargetWork {
        kind,
        name: cut(&name(span, kind), MAX_NAME),
        call_id: text(span, &CALL_IDS).filter(|_| is_tool).map(|id| cut(&id, MAX_NAME)),
        arguments: first(span, &ARGUMENTS).filter(|_| is_tool).map(arguments),
        result: first(span, &RESULTS)
            .filter(|_| is_tool)
            .map(|told| cut(&in_words(&unwrapped(told)), MAX_RESULT)),
        input_tokens: number(span, &INPUT_TOKENS),
        output_tokens: number(span, &OUTPUT_TOKENS),
        error: error(span).map(|error| cut(&error, MAX_ERROR)),
    }
}

fn kind(span: &Span) -> WorkKind {
    let said = KINDS.iter().find_map(|(key, kinds)| {
        let value = text(span, &[key])?.to_lowercase();
        kinds.iter().find(|(name, _)| *name == value).map(|(_, kind)| *kind)
    });
    let sign = || SIGNS.iter().find(|(key, _)| attribute(&span.attributes, key).is_some());
    said.or_else(|| sign().map(|(_, kind)| *kind)).unwrap_or_default()
}

fn name(span: &Span, kind: WorkKind) -> String {
    let told = match kind {
        WorkKind::Tool => text(span, &TOOL_NAMES),
        WorkKind::Model => text(span, &MODEL_NAMES),
        WorkKind::Agent => text(span, &AGENT_NAMES),
        WorkKind::Other => None,
    };
    told.unwrap_or_else(|| span.name.strip_prefix(TOOL_SPAN_PREFIX).unwrap_or(&span.name).to_owned())
}

fn arguments(told: Value) -> Value {
    let plain = unwrapped(told);
    let text = plain.to_string();
    if text.len() > MAX_ARGUMENTS { cut(&text, MAX_ARGUMENTS).into() } else { plain }
}

/// JSON that is told as a text of JSON, without what libraries wrap around it.
fn unwrapped(told: Value) -> Value {
    let parsed = told.as_str().and_then(|text| serde_json::from_str(text).ok());
    let plain = parsed.unwrap_or(told);
    let inside = WRAPPERS.iter().find_map(|name| is_wrapper(&plain).then(|| plain.get(name)).flatten());
    match inside {
        Some(inside) => unwrapped(inside.clone()),
        None => plain,
    }
}

/// `{"type": …, "value": …}` of LangWatch, `{"inputs": …, "tags": …}` and their like of Traceloop.
fn is_wrapper(value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return false };
    let has = |name: &str| fields.contains_key(name);
    (has("type") && has("value") && fields.len() == 2) || (has("tags") && has("metadata"))
}

fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What went wrong: what the status says, else the exception, else the kind of error.
fn error(span: &Span) -> Option<String> {
    let status = span.status.as_ref().filter(|status| status.code() == StatusCode::Error);
    let raised = span.events.iter().rev().filter(|event| event.name == EXCEPTION);
    let raised =
        raised.flat_map(|event| EXCEPTION_SAYS.iter().filter_map(|key| attribute(&event.attributes, key)));
    let kind = text(span, &[ERROR_TYPE]);
    let message = status.map(|status| status.message.clone()).filter(|message| !message.is_empty());
    status.is_some().then_some(())?;
    let raised = || raised.map(|told| in_words(&told)).next();
    Some(message.or_else(raised).or(kind).unwrap_or_else(|| "error".to_owned()))
}

fn text(span: &Span, keys: &[&str]) -> Option<String> {
    first(span, keys).map(|value| in_words(&value)).filter(|text| !text.is_empty())
}

fn number(span: &Span, keys: &[&str]) -> Option<u64> {
    let value = first(span, keys)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn first(span: &Span, keys: &[&str]) -> Option<Value> {
    keys.iter().find_map(|key| attribute(&span.attributes, key))
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(plain_value(found.value.clone())).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::{Status, span};
    use serde_json::json;

    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let attribute = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
            ..KeyValue::default()
        };
        pairs.iter().map(attribute).collect()
    }

    fn span(name: &str, pairs: &[(&str, &str)]) -> Span {
        Span { name: name.to_owned(), attributes: attributes(pairs), ..Span::default() }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line for each convention, as a table")]
    fn a_tool_call_is_recognised_in_every_convention() {
        let args = r#"{"order":"A-17"}"#;
        let langwatch = r#"{"type":"json","value":{"order":"A-17"}}"#;
        let traceloop = r#"{"inputs":{"order":"A-17"},"tags":[],"metadata":{}}"#;
        let spans = [
            span(
                "execute_tool find",
                &[("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.call.arguments", args)],
            ),
            span("x", &[("gen_ai.tool.name", "find"), ("gen_ai.tool.call.arguments", args)]),
            span("x", &[("openinference.span.kind", "TOOL"), ("tool.name", "find"), ("input.value", args)]),
            span(
                "find.tool",
                &[
                    ("traceloop.span.kind", "tool"),
                    ("traceloop.entity.name", "find"),
                    ("traceloop.entity.input", traceloop),
                ],
            ),
            span("find", &[("langwatch.span.type", "tool"), ("langwatch.input", langwatch)]),
            span("ai.toolCall", &[("ai.toolCall.name", "find"), ("ai.toolCall.args", args)]),
        ];
        for span in spans {
            let work = of(&span);
            assert_eq!((work.kind, work.name.as_str()), (WorkKind::Tool, "find"), "{span:?}");
            assert_eq!(work.arguments, Some(json!({ "order": "A-17" })), "{span:?}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line for each kind, as a table")]
    fn models_agents_and_other_steps_are_told_apart() {
        let model = of(&span(
            "chat",
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.request.model", "gpt"),
                ("gen_ai.usage.input_tokens", "12"),
                ("input.value", "secret words"),
            ],
        ));
        assert_eq!((model.kind, model.name.as_str(), model.input_tokens), (WorkKind::Model, "gpt", Some(12)));
        assert_eq!(
            (model.arguments, model.result),
            (None, None),
            "what a model reads and writes is not repeated"
        );
        let agent = of(&span(
            "invoke_agent shop",
            &[("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", "shop")],
        ));
        assert_eq!((agent.kind, agent.name.as_str()), (WorkKind::Agent, "shop"));
        let other = of(&span("GET /orders", &[("http.request.method", "GET")]));
        assert_eq!((other.kind, other.name.as_str(), other.error), (WorkKind::Other, "GET /orders", None));
    }

    #[test]
    fn an_error_is_what_the_status_says_else_the_exception_else_its_kind() {
        let status =
            |message: &str| Some(Status { code: StatusCode::Error.into(), message: message.to_owned() });
        let raised = span::Event {
            name: EXCEPTION.to_owned(),
            attributes: attributes(&[("exception.type", "Timeout"), ("exception.message", "too slow")]),
            ..span::Event::default()
        };
        let mut failed = span("x", &[(ERROR_TYPE, "timeout")]);
        failed.events = vec![raised];
        assert_eq!(of(&failed).error, None, "only the status makes it an error");
        failed.status = status("");
        assert_eq!(of(&failed).error.as_deref(), Some("too slow"));
        failed.events.clear();
        assert_eq!(of(&failed).error.as_deref(), Some("timeout"));
        failed.status = status("down");
        assert_eq!(of(&failed).error.as_deref(), Some("down"));
    }

    #[test]
    fn every_text_is_bounded() {
        let long = "x".repeat(100_000);
        let mut hostile = span(
            &long,
            &[
                ("gen_ai.tool.name", &long),
                ("gen_ai.tool.call.id", &long),
                ("gen_ai.tool.call.arguments", &long),
                ("gen_ai.tool.call.result", &long),
            ],
        );
        hostile.status = Some(Status { code: StatusCode::Error.into(), message: long.clone() });
        let told = serde_json::to_string(&of(&hostile)).unwrap();
        assert!(told.len() < 12 * 1024, "{}", told.len());
    }

    #[test]
    fn a_secret_that_stands_across_any_cut_is_found_in_what_is_told() {
        const SECRET: &str = "SECRETCANARY1-abcdefghijklmnopqrstuvwxyz";
        let across = |limit: usize| format!("{}{SECRET}", "y".repeat(limit - 35));
        let arguments = json!({ "q": across(MAX_ARGUMENTS - 6) }).to_string();
        let tool = [
            ("gen_ai.tool.name", across(MAX_NAME)),
            ("gen_ai.tool.call.id", across(MAX_NAME)),
            ("gen_ai.tool.call.arguments", arguments),
            ("gen_ai.tool.call.result", across(MAX_RESULT)),
        ];
        let pairs: Vec<(&str, &str)> = tool.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let status = Status { code: StatusCode::Error.into(), message: across(MAX_ERROR) };
        let work = of(&Span { status: Some(status), ..span("x", &pairs) });
        let mut told = serde_json::to_value(&work).unwrap();
        assert_eq!(told.to_string().matches("SECRETCANARY").count(), 5, "what is cut is kept as it is here");
        crate::scrub::Scrubber::new([SECRET]).scrub_told(&mut told);
        let told = told.to_string();
        assert!(!told.contains("SECRET") && told.matches(crate::text::TRUNCATED).count() == 5, "{told}");
    }
}
