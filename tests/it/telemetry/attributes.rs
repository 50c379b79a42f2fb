//! What each kind of span says.
#![expect(clippy::unwrap_used, reason = "what a helper cannot read must fail its test")]

use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use scenario_worker::definitions::{ContentCapture, ProviderKind};
use scenario_worker::events::{Cost, TokenUsage, ToolCall};
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::{
    ChatReply, Judgement, ModelServer, SceneRole, SpanEnd, SpanNote, SpanStart,
};
use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::{Value, json};

use super::play::{
    called_a_tool, chat, conversation, destination, factory, judgement, reply, said, spec, target, transcript,
};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};

async fn played() -> Vec<ReceivedSpan> {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    conversation(&*trace);
    trace.finish(SpanEnd::Judged(judgement())).await;
    receiver.spans()
}

fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

/// Checks attributes; a value that is JSON text in the span is compared as JSON.
fn has(span: &ReceivedSpan, expected: &Value) {
    for (key, expected) in expected.as_object().unwrap() {
        let found = span.attributes.get(key).unwrap_or_else(|| panic!("{} has no {key}", span.name));
        let parsed = found.as_str().and_then(|text| serde_json::from_str(text).ok());
        assert_eq!(parsed.as_ref().filter(|_| !expected.is_string()).unwrap_or(found), expected, "{key}");
    }
}

#[tokio::test]
async fn every_span_names_its_run_and_no_attribute_comes_twice() {
    let spans = played().await;
    assert_eq!(spans.len(), 7);
    for span in &spans {
        has(
            span,
            &json!({ "langwatch.thread.id": "r1", "scenario.run_id": "r1", "scenario.id": "refund",
                     "scenario.set_id": "default" }),
        );
        assert!(span.attributes["scenario.batch_id"].as_str().unwrap().starts_with("scenariobatch_"));
        assert!(span.attributes.contains_key("langwatch.span.type"), "{}", span.name);
        assert_eq!((span.repeated_attributes.len(), span.dropped_attributes), (0, 0), "{}", span.name);
        assert_eq!(span.status, "ok");
        assert!(span.end_unix_nanos >= span.start_unix_nanos);
        let mut resource = span.resource.clone();
        assert_eq!(resource.remove("service.name"), Some("scenario-worker".into()));
        assert_eq!(resource.remove("langwatch.origin"), Some("simulation".into()));
        assert_eq!(resource.remove("scenario.labels"), Some(json!(["support"])));
        let rest: Vec<_> = resource.keys().map(String::as_str).collect();
        let known = ["langwatch.origin.source", "scenario.batch_id", "scenario.id", "scenario.project_id"];
        assert_eq!(rest, [&known[..], &["scenario.set_id", "service.version"]].concat());
    }
}

#[tokio::test]
async fn inputs_that_nothing_was_found_for_are_an_event_on_the_agent_s_span() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let span = trace.root().child(SpanStart::Target { target: target(), transcript: transcript(&[]) });
    span.note(SpanNote::UnboundInputs { names: vec!["a".into(), "b".into()] });
    span.end(said("Sure", 1));
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    let [event] = named(&spans, "invoke_agent shop-agent").events.as_slice() else { panic!("not one event") };
    assert_eq!(event.name, "langwatch.prompt.unbound_inputs");
    assert_eq!(json!(event.attributes), json!({ "langwatch.prompt.unbound_inputs.names": ["a", "b"] }));
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_an_event_on_the_run_s_root() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    trace.root().note(SpanNote::SessionNotEnded { code: "http_status".into(), message: "HTTP 500".into() });
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    let [event] = named(&spans, "langwatch.scenario.run").events.as_slice() else { panic!("not one event") };
    assert_eq!(event.name, "langwatch.session.not_ended");
    assert_eq!(json!(event.attributes), json!({ "error.type": "http_status", "error.message": "HTTP 500" }));
}

#[tokio::test]
async fn the_tree_is_run_turn_role_model() {
    let spans = played().await;
    let parent = |span: &ReceivedSpan| {
        let id = span.parent_span_id.as_deref()?;
        spans.iter().find(|s| s.span_id == id).map(|s| s.name.as_str())
    };
    for (name, expected) in [
        ("langwatch.scenario.run", None),
        ("langwatch.scenario.turn", Some("langwatch.scenario.run")),
        ("langwatch.user_simulator.call", Some("langwatch.scenario.turn")),
        ("invoke_agent shop-agent", Some("langwatch.scenario.turn")),
        ("langwatch.judge.call", Some("langwatch.scenario.turn")),
    ] {
        assert_eq!(parent(named(&spans, name)), expected, "{name}");
    }
    let mut chats: Vec<_> = spans.iter().filter(|s| s.name == "chat gpt-5-mini").filter_map(parent).collect();
    chats.sort_unstable();
    assert_eq!(chats, ["langwatch.judge.call", "langwatch.user_simulator.call"]);
}

#[tokio::test]
async fn a_role_is_on_exactly_the_spans_of_the_roles() {
    let spans = played().await;
    let mut roles: Vec<_> = spans
        .iter()
        .filter_map(|s| Some((s.attributes.get("scenario.role")?.as_str()?, s.name.as_str())))
        .collect();
    roles.sort_unstable();
    assert_eq!(
        roles,
        [
            ("Agent", "invoke_agent shop-agent"),
            ("Judge", "langwatch.judge.call"),
            ("User", "langwatch.user_simulator.call")
        ]
    );
}

#[tokio::test]
async fn a_model_call_says_what_was_asked_and_answered() {
    let spans = played().await;
    let span = named(&spans, "chat gpt-5-mini");
    assert_eq!(span.kind, "client");
    let text = |text: &str| json!([{ "type": "text", "content": text }]);
    has(
        span,
        &json!({
            "langwatch.span.type": "llm",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "scenario.provider.id": "oa",
            "server.address": "api.example",
            "server.port": 8443,
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.conversation.id": "r1",
            "gen_ai.system_instructions": text("Be a customer."),
            "gen_ai.input.messages": [{ "role": "user", "parts": text("Begin.") }],
            "gen_ai.output.messages": [
                { "role": "assistant", "parts": text("My mug is broken."), "finish_reason": "stop" }
            ],
            "gen_ai.response.id": "resp_1",
            "gen_ai.response.model": "gpt-5-mini-2025",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.cache_creation.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "langwatch.input": { "type": "chat_messages", "value": [
                { "role": "system", "content": "Be a customer." }, { "role": "user", "content": "Begin." }
            ] },
            "langwatch.output": { "type": "chat_messages", "value": [
                { "role": "assistant", "content": "My mug is broken." }
            ] },
        }),
    );
    let tools = spans.iter().filter(|s| s.attributes.contains_key("gen_ai.tool.definitions")).count();
    assert_eq!(tools, 1, "only the judge has a tool");
}

#[tokio::test]
async fn a_model_that_nobody_is_known_to_serve_is_named_by_its_provider_in_the_project() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    for kind in [None, Some(ProviderKind::Gemini), Some(ProviderKind::Scripted)] {
        let SpanStart::Chat { model, request, .. } = chat(SceneRole::Target) else { panic!("a call") };
        let server = kind.map(|kind| ModelServer { kind, host: None, port: None });
        trace.root().child(SpanStart::Chat { model, server, request }).end(reply());
    }
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    let chats: Vec<_> = spans.iter().filter(|span| span.name == "chat gpt-5-mini").collect();
    let providers: BTreeSet<_> =
        chats.iter().map(|chat| chat.attributes["gen_ai.provider.name"].as_str().unwrap()).collect();
    assert_eq!(providers, BTreeSet::from(["gcp.gemini", "oa", "scripted"]));
    assert!(chats.iter().all(|chat| !chat.attributes.contains_key("server.address")));
}

#[tokio::test]
async fn a_tool_that_answers_has_a_span_of_its_own() {
    for capture in [ContentCapture::Full, ContentCapture::Metadata] {
        let receiver = OtlpReceiver::start(Mode::Ok).await;
        let trace = factory().capturing(capture).start(spec("acme", "r1", Some(destination(&receiver, "k"))));
        let arguments = json!({ "order": "of-somebody" });
        let call = ToolCall { id: "call_7".into(), name: "look_up".into(), arguments: arguments.clone() };
        let tool = trace.root().child(SpanStart::Tool { call });
        tool.end(SpanEnd::Executed { result: "shipped to somebody".into() });
        trace.finish(SpanEnd::Done).await;
        let spans = receiver.spans();
        let span = named(&spans, "execute_tool look_up");
        assert_eq!((span.kind, span.status), ("internal", "ok"));
        has(
            span,
            &json!({
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up",
                "gen_ai.tool.type": "function", "gen_ai.tool.call.id": "call_7",
                "langwatch.span.type": "tool",
            }),
        );
        if capture == ContentCapture::Full {
            let result = "shipped to somebody";
            has(span, &json!({ "gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": result }));
        } else {
            assert!(!serde_json::to_string(&spans).unwrap().contains("somebody"), "{span:?}");
        }
    }
}

#[tokio::test]
async fn a_request_names_the_version_of_the_conventions_that_it_keeps_to() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    trace.finish(SpanEnd::Done).await;
    let body = receiver.attempts()[0].unpacked();
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let [group] = request.resource_spans.as_slice() else { panic!("{request:?}") };
    let [scope] = group.scope_spans.as_slice() else { panic!("{request:?}") };
    for schema in [&group.schema_url, &scope.schema_url] {
        assert_eq!(schema, "https://opentelemetry.io/schemas/1.41.0");
    }
}

#[tokio::test]
async fn an_agent_that_answers_bit_by_bit_says_when_it_began() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    for after in [Some(Duration::from_millis(1500)), None] {
        let span = trace.root().child(SpanStart::Target { target: target(), transcript: transcript(&[]) });
        let SpanEnd::Said { content, tool_calls, usage, .. } = said("Sure", 1) else {
            panic!("nothing said")
        };
        span.end(SpanEnd::Said { content, tool_calls, usage, first_chunk: after });
    }
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    has(&spans[0], &json!({ "gen_ai.response.time_to_first_chunk": 1.5 }));
    assert!(!spans[1].attributes.contains_key("gen_ai.response.time_to_first_chunk"));
}

#[tokio::test]
async fn the_target_says_what_it_was_told_and_what_it_said() {
    let spans = played().await;
    let span = named(&spans, "invoke_agent shop-agent");
    assert_eq!(span.kind, "client");
    has(
        span,
        &json!({
            "langwatch.span.type": "agent",
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": "shop-agent",
            "gen_ai.agent.name": "shop-agent",
            "scenario.target.type": "http",
            "gen_ai.usage.input_tokens": 3,
            "langwatch.input": { "type": "json", "value": [
                { "role": "user", "content": "My mug is broken." }
            ] },
            "langwatch.output": { "type": "text", "value": "I am sorry." },
        }),
    );
    let customer = named(&spans, "langwatch.user_simulator.call");
    assert!(!customer.attributes.contains_key("gen_ai.usage.input_tokens"), "its model call has the tokens");
}

#[tokio::test]
async fn a_judgement_is_on_judge_and_run_and_its_events_are_there_once() {
    let spans = played().await;
    let root = named(&spans, "langwatch.scenario.run");
    let judge = named(&spans, "langwatch.judge.call");
    for span in [root, judge] {
        has(
            span,
            &json!({ "scenario.verdict": "failure", "scenario.criteria.met": 1, "scenario.criteria.unmet": 1 }),
        );
    }
    has(
        root,
        &json!({ "scenario.name": "Refund request", "langwatch.labels": ["support"], "scenario.attempt": 1,
                 "langwatch.origin": "simulation", "langwatch.span.type": "workflow" }),
    );
    assert!(root.events.is_empty());
    let names: Vec<_> = judge.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        ["gen_ai.evaluation.result", "gen_ai.evaluation.result", "langwatch.evaluation.custom"]
    );
    let unmet = &judge.events[1].attributes;
    assert_eq!(unmet["gen_ai.evaluation.name"], "The agent offers a refund");
    assert_eq!(unmet["gen_ai.evaluation.score.label"], "fail");
    assert_eq!(unmet["gen_ai.evaluation.score.value"], 0.0);
    assert_eq!(unmet["gen_ai.evaluation.explanation"], "because 1");
    let whole: Value =
        serde_json::from_str(judge.events[2].attributes["json_encoded_event"].as_str().unwrap()).unwrap();
    assert_eq!(
        whole,
        json!({ "evaluation_id": "scenario_r1", "name": "scenario", "type": "custom", "status": "processed", "passed": false,
                "score": 0.5, "label": "failure", "details": "one is missing" })
    );
}

#[tokio::test]
async fn a_judgement_without_a_judge_has_its_events_on_the_run() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    trace.finish(SpanEnd::Judged(judgement())).await;
    assert_eq!(receiver.spans()[0].events.len(), 3);
}

#[tokio::test]
async fn other_ends_are_told_too() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let start = || SpanStart::Target { target: target(), transcript: transcript(&[]) };
    trace.root().child(start()).end(called_a_tool());
    let failed = SpanEnd::Failed { code: "http_status".into(), message: "HTTP 500 from the shop".into() };
    trace.root().child(start()).end(failed);
    let prompt = trace.root().child(start());
    prompt.child(chat(scenario_worker::execution::types::SceneRole::Target)).end(reply());
    prompt.end(said("I am sorry.", 3));
    trace.root().child(SpanStart::Turn { number: 4 }).end(SpanEnd::Continued { reasoning: "not yet".into() });
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    has(
        &spans[0],
        &json!({ "langwatch.output": { "type": "chat_messages", "value": [{
            "role": "assistant", "content": "Done.", "tool_calls": [
                { "id": "t1", "type": "function",
                  "function": { "name": "refund", "arguments": "{\"order\":7}" } }
            ] }] } }),
    );
    assert_eq!((spans[1].status, spans[1].status_message.as_str()), ("error", "HTTP 500 from the shop"));
    has(&spans[1], &json!({ "error.type": "http_status" }));
    assert!(!spans[3].attributes.contains_key("gen_ai.usage.input_tokens"), "counted twice");
    has(
        &spans[4],
        &json!({ "scenario.turn": 4,
                 "langwatch.output": { "type": "json", "value": { "continue": true, "reasoning": "not yet" } } }),
    );
}

#[tokio::test]
async fn a_call_that_cost_something_says_how_much_once() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let SpanEnd::Replied(answer) = reply() else { panic!("a reply") };
    let usage = TokenUsage { cost: Cost::try_from(0.25).unwrap(), ..answer.usage };
    let prompt = trace.root().child(SpanStart::Target { target: target(), transcript: transcript(&[]) });
    let replied = SpanEnd::Replied(ChatReply { usage, ..answer });
    prompt.child(chat(scenario_worker::execution::types::SceneRole::Target)).end(replied);
    prompt.end(SpanEnd::Said { content: "Sure.".into(), tool_calls: Vec::new(), usage, first_chunk: None });
    trace.finish(SpanEnd::Done).await;
    let spans = receiver.spans();
    has(named(&spans, "chat gpt-5-mini"), &json!({ "langwatch.span.cost": 0.25 }));
    let told = spans.iter().filter(|span| span.attributes.contains_key("langwatch.span.cost")).count();
    assert_eq!(told, 1, "who adds up the trace would count it twice");
}

/// LangWatch takes a span whose input is `chat_messages` for a call of a model, whatever its type says, and reads the
/// evaluation only if its `name` is a text and the rest has the right types.
#[tokio::test]
async fn langwatch_reads_the_spans_as_they_are_meant() {
    let spans = played().await;
    for span in &spans {
        let input: Option<Value> = span
            .attributes
            .get("langwatch.input")
            .map(|input| serde_json::from_str(input.as_str().unwrap()).unwrap());
        let is_model = span.attributes["langwatch.span.type"] == "llm";
        let reads_as_model = input.is_some_and(|input| input["type"] == "chat_messages");
        assert_eq!(reads_as_model, is_model, "{}", span.name);
    }
    let root = named(&spans, "langwatch.scenario.run");
    has(
        root,
        &json!({ "gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "Refund request" }),
    );
    let undecided = Judgement::derive(Vec::new(), "nobody knows".into());
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    trace
        .finish(SpanEnd::Judged(Judgement {
            verdict: scenario_worker::events::Verdict::Inconclusive,
            ..undecided
        }))
        .await;
    let event = &receiver.spans()[0].events[0].attributes["json_encoded_event"];
    let event: Value = serde_json::from_str(event.as_str().unwrap()).unwrap();
    assert_eq!((event["name"].as_str(), event["status"].as_str()), (Some("scenario"), Some("processed")));
    assert!(event.get("passed").is_none() && event.get("score").is_none(), "{event}");
}
