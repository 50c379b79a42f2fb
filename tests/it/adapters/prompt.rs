//! Prompts as agents under test.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use scenario_worker::adapters::{PromptAdapterFactory, TargetAdapterFactory as _};
use scenario_worker::definitions::{Prompt, PromptMessage, PromptRole, Sampling};
use scenario_worker::events::{
    Attribution, MessageRole, ProjectId, RunId, RunKey, TokenUsage, ToolCall, TraceContext,
};
use scenario_worker::execution::failure::{PlanError, RunFailure};
use scenario_worker::execution::limits::{Admission, Waiting};
use scenario_worker::execution::ports::{ChatModel, ChatModelFactory, TargetReply, TargetSpec, TargetTurn};
use scenario_worker::execution::types::{
    ChatOptions, ChatReply, ChatRequest, ChatRole, Message, ModelName, SceneRole, SpanEnd, SpanNote,
    SpanStart,
};
use serde_json::{Value, json};

use super::stage::{LINE, Shelf, dialogue, failure, spec, take_turn};
use crate::support::spans::Recorded;

/// Models that give these answers in turn, the last one for ever, and remember what they were asked.
#[derive(Clone)]
pub(super) struct FixedModels {
    answers: Arc<[Result<ChatReply, RunFailure>]>,
    pub(super) objection: Option<String>,
    pub(super) asked: Arc<Mutex<Vec<(String, ChatRequest)>>>,
}

impl FixedModels {
    pub(super) fn new(answer: Result<ChatReply, RunFailure>) -> Self {
        Self::answering([answer])
    }

    pub(super) fn answering(answers: impl IntoIterator<Item = Result<ChatReply, RunFailure>>) -> Self {
        Self { answers: answers.into_iter().collect(), objection: None, asked: Arc::default() }
    }

    pub(super) fn requests(&self) -> Vec<ChatRequest> {
        self.asked.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }

    pub(super) fn saying(content: &str) -> Self {
        let usage = TokenUsage { input_tokens: 3, output_tokens: 2, ..TokenUsage::default() };
        Self::new(Ok(ChatReply { content: content.into(), usage, ..ChatReply::default() }))
    }
}

struct FixedModel {
    name: ModelName,
    models: FixedModels,
}

#[async_trait]
impl ChatModelFactory for FixedModels {
    async fn model(&self, _: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        Ok(Arc::new(FixedModel { name: ModelName::parse(name).unwrap(), models: self.clone() }))
    }
}

#[async_trait]
impl ChatModel for FixedModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn chat_watched(&self, request: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        let mut asked = self.models.asked.lock().unwrap();
        let answers = &self.models.answers;
        let answer = answers[asked.len().min(answers.len() - 1)].clone();
        asked.push((self.name.to_string(), request.clone()));
        answer
    }

    fn objection(&self, _: &Sampling, _: &ChatOptions) -> Option<String> {
        self.models.objection.clone()
    }
}

fn prompt(system: &str) -> Prompt {
    serde_json::from_value(json!({ "id": "support", "systemPrompt": system, "model": "openai/small" }))
        .unwrap()
}

async fn play(
    prompt: Prompt,
    spec: TargetSpec,
    models: &FixedModels,
    recorded: &Recorded,
) -> Result<TargetReply, RunFailure> {
    let shelf = Arc::new(Shelf { prompts: vec![prompt], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(models.clone()));
    let adapter = factory.create(spec).await.map_err(failure)?;
    take_turn(adapter.as_ref(), &dialogue(LINE), recorded).await
}

async fn asked(prompt: Prompt, parameters: Value) -> ChatRequest {
    let models = FixedModels::saying("Sure");
    play(prompt, spec("prompt", "support", parameters), &models, &Recorded::default()).await.unwrap();
    models.asked.lock().unwrap().remove(0).1
}

fn lines(request: &ChatRequest) -> Vec<(ChatRole, &str)> {
    request.messages.iter().map(|message| (message.role, message.content.as_str())).collect()
}

const SAID: [(ChatRole, &str); 3] =
    [(ChatRole::User, "Hello"), (ChatRole::Assistant, "How can I help?"), (ChatRole::User, LINE)];

#[tokio::test]
async fn the_model_is_told_instructions_own_messages_and_what_was_said() {
    let own = |role, content: &str| PromptMessage { role, content: content.into() };
    let mut prompt = prompt("You serve {{ params.region }} in {{ threadId }}.");
    prompt.messages =
        vec![own(PromptRole::User, "Hi from {{ params.region }}"), own(PromptRole::Assistant, "Hi")];
    (prompt.temperature, prompt.max_tokens) = (Some(0.2), Some(800));
    let request = asked(prompt, json!({ "region": "\"eu\" & {{ x }}" })).await;
    let region = "\"eu\" & {{ x }}";
    let (system, hi) = (format!("You serve {region} in run-1."), format!("Hi from {region}"));
    let mut expected =
        vec![(ChatRole::System, system.as_str()), (ChatRole::User, hi.as_str()), (ChatRole::Assistant, "Hi")];
    expected.extend(SAID);
    assert_eq!(lines(&request), expected);
    assert_eq!((request.sampling.temperature, request.sampling.max_tokens), (Some(0.2), Some(800)));
    assert_eq!(
        (request.scene.role, request.scene.turn, request.scene.transcript.len()),
        (SceneRole::Target, 2, 3)
    );
}

#[tokio::test]
async fn what_was_said_is_not_told_twice() {
    let prose = format!("user: Hello\nassistant: How can I help?\nuser: {LINE}");
    let request = asked(prompt("So far:\n{{ messages }}"), json!({})).await;
    assert_eq!(lines(&request), [(ChatRole::System, format!("So far:\n{prose}").as_str())]);
    let looped = asked(prompt("{% for m in messages %}{{ m.content }};{% endfor %}"), json!({})).await;
    assert_eq!(looped.messages.len(), 1);
    assert_eq!(asked(prompt("{{ messagesJson }}"), json!({})).await.messages.len(), 1);
    assert_eq!(asked(prompt("{% if messages %}x{% endif %}"), json!({})).await.messages.len(), 1);
    let mut own = prompt("Be kind.");
    own.messages = vec![PromptMessage { role: PromptRole::User, content: "{{ messages }}".into() }];
    assert_eq!(
        lines(&asked(own, json!({})).await),
        [(ChatRole::System, "Be kind."), (ChatRole::User, &prose)]
    );
    let words = [
        "the messages",
        "{{ 'messages' }}",
        "{{ params.messages }}",
        "{# messages #}",
        "{{ \"messagesJson\" }}",
    ];
    for words in words {
        assert_eq!(asked(prompt(words), json!({})).await.messages.last().unwrap().content, LINE, "{words}");
    }
}

#[tokio::test]
async fn declared_inputs_are_bound_by_name_and_a_single_one_left_gets_the_line() {
    let bound = |inputs: &[&str], parameters: Value| {
        let mut prompt = prompt("{{ a }}|{{ b }}|{{ input }}");
        prompt.inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        async move { asked(prompt, parameters).await.messages.remove(0).content }
    };
    assert_eq!(bound(&["a", "b"], json!({ "a": 1, "b": "two" })).await, format!("1|two|{LINE}"));
    assert_eq!(bound(&["a"], json!({})).await, format!("{LINE}||{LINE}"));
    assert_eq!(
        bound(&["a", "b", "input"], json!({ "b": "x", "input": "no" })).await,
        format!("{LINE}|x|{LINE}")
    );
    assert_eq!(bound(&["a", "b"], json!({})).await, format!("[unbound input: a]|[unbound input: b]|{LINE}"));
    assert_eq!(bound(&[], json!({ "a": 1 })).await, format!("||{LINE}"));
}

/// What a prompt with these inputs and mappings makes of `template`.
async fn told(template: &str, inputs: &[&str], mappings: Value) -> ChatRequest {
    let mut prompt = prompt(template);
    prompt.inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
    prompt.field_mappings = serde_json::from_value(mappings).unwrap();
    asked(prompt, json!({ "question": "of the run" })).await
}

#[tokio::test]
async fn an_input_with_a_usual_name_gets_what_it_means_each_fact_once() {
    let history = format!("user: Hello\nassistant: How can I help?\nuser: {LINE}");
    for (template, inputs, expected) in [
        (
            "{{ Query }}|{{ SESSION_ID }}|{{ Chat_History }}",
            &["Query", "SESSION_ID", "Chat_History"][..],
            format!("{LINE}|run-1|{history}"),
        ),
        (
            "{{ query }}|{{ text }}|{{ x }}",
            &["query", "text", "x"],
            format!("{LINE}|[unbound input: text]|[unbound input: x]"),
        ),
        ("{{ query }}|{{ text }}", &["query", "text"], format!("{LINE}|{LINE}")),
        (
            "{{ query }}|{{ x }}",
            &["input", "query", "x"],
            "[unbound input: query]|[unbound input: x]".to_owned(),
        ),
        ("{{ question }}|{{ query }}", &["question", "query", "query"], format!("of the run|{LINE}")),
    ] {
        let request = told(template, inputs, json!({})).await;
        assert_eq!(request.messages[0].content, expected, "{inputs:?}");
    }
}

#[tokio::test]
async fn a_mapping_wins_over_everything_and_takes_nothing_from_the_others() {
    let line = json!({ "type": "source", "sourceId": "scenario", "path": ["scenario_message"] });
    let thread = json!({ "type": "source", "path": ["thread_id"] });
    let fixed = json!({ "type": "value", "value": "fixed" });
    let mappings = json!({ "a": line, "question": thread, "input": fixed, "params": { "type": "value", "value": { "x": 1 } } });
    let template = "{{ a }}|{{ question }}|{{ input }}|{{ query }}|{{ params.x }}";
    let request = told(template, &["a", "question", "query"], mappings).await;
    assert_eq!(request.messages[0].content, format!("{LINE}|run-1|fixed|{LINE}|1"));
}

#[tokio::test]
async fn a_template_that_tells_the_conversation_under_another_name_tells_it_once() {
    let messages = json!({ "type": "source", "path": ["conversation_history"] });
    assert_eq!(told("{{ talk }}", &[], json!({ "talk": messages })).await.messages.len(), 1);
    assert_eq!(told("{{ history }}", &["history"], json!({})).await.messages.len(), 1);
    assert_eq!(told("So: {{ history }}", &[], json!({})).await.messages.len(), 4);
    let fixed = json!({ "messages": { "type": "value", "value": "nothing" } });
    let request = told("{{ messages }}", &[], fixed).await;
    assert_eq!((request.messages.len(), request.messages[0].content.as_str()), (4, "nothing"));
}

/// A conversation with everything in it that a run keeps of one.
fn kept() -> Arc<[Message]> {
    let mut kept = dialogue(LINE).to_vec();
    kept[1].tool_calls =
        vec![ToolCall { id: "call-77".into(), name: "look".into(), arguments: json!({ "secret": 1 }) }];
    kept[1].latency_ms = Some(4711);
    kept.into()
}

#[tokio::test]
async fn nothing_of_the_run_s_own_is_in_a_prompt_s_text() {
    let template = "{{ messages }}|{{ messagesJson }}|{{ talk }}|{{ messages | tojson }}|{{ talk | tojson }}|{{ messages[1] }}";
    let mut prompt = prompt(template);
    prompt.field_mappings =
        serde_json::from_value(json!({ "talk": { "type": "source", "path": ["messages"] } })).unwrap();
    let models = FixedModels::saying("Sure");
    let shelf = Arc::new(Shelf { prompts: vec![prompt], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(models.clone()));
    let adapter = factory.create(spec("prompt", "support", json!({}))).await.unwrap();
    take_turn(adapter.as_ref(), &kept(), &Recorded::default()).await.unwrap();
    let text = models.requests()[0].messages[0].content.clone();
    assert_eq!(text.matches("How can I help?").count(), 6, "{text}");
    for internal in ["1970", "call-77", "secret", "4711", "turn", "latency", "tool"] {
        assert!(!text.contains(internal), "{internal} in {text}");
    }
}

#[tokio::test]
async fn no_turn_s_values_hold_what_an_earlier_turn_s_model_was_told() {
    let marked = "MARK {{ input }}|{{ messages }}|{{ messagesJson }}";
    let models = FixedModels::saying("Sure");
    let shelf = Arc::new(Shelf { prompts: vec![prompt(marked)], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(models.clone()));
    let adapter = factory.create(spec("prompt", "support", json!({}))).await.unwrap();
    let mut said = dialogue(LINE).to_vec();
    for turn in 2..5 {
        let reply = take_turn(adapter.as_ref(), &said.as_slice().into(), &Recorded::default()).await.unwrap();
        let line = |role, content: &str| Message { turn, role, content: content.into(), ..said[0].clone() };
        said.extend([line(MessageRole::Assistant, &reply.content), line(MessageRole::User, "And?")]);
    }
    for request in models.requests() {
        assert_eq!(request.messages[0].content.matches("MARK").count(), 1);
    }
}

#[tokio::test]
async fn the_conversation_is_there_as_json_too() {
    let text = told("{{ messagesJson }}", &[], json!({})).await.messages.remove(0).content;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), super::stage::history(LINE));
}

#[tokio::test]
async fn inputs_that_nothing_is_found_for_are_noted_by_name() {
    let recorded = Recorded::default();
    let mut unbound = prompt("{{ a }}{{ b }}");
    unbound.inputs = vec!["a".into(), "question".into(), "b".into()];
    let models = FixedModels::saying("Sure");
    play(unbound, spec("prompt", "support", json!({})), &models, &recorded).await.unwrap();
    assert_eq!(recorded.notes(), [SpanNote::UnboundInputs { names: vec!["a".into(), "b".into()] }]);
    let bound = Recorded::default();
    play(prompt("{{ a }}"), spec("prompt", "support", json!({})), &models, &bound).await.unwrap();
    assert_eq!(bound.notes(), []);
}

#[tokio::test]
async fn the_prompt_s_model_comes_first_then_the_default_then_a_failure() {
    let model = |own: Option<&str>, default: Option<&str>| {
        let mut prompt = prompt("x");
        prompt.model = own.map(str::to_owned);
        let spec =
            TargetSpec { default_model: default.map(str::to_owned), ..spec("prompt", "support", json!({})) };
        async move {
            let models = FixedModels::saying("Sure");
            play(prompt, spec, &models, &Recorded::default()).await?;
            let asked = models.asked.lock().unwrap().remove(0).0;
            Ok::<_, RunFailure>(asked)
        }
    };
    assert_eq!(model(Some("openai/own"), Some("openai/default")).await.unwrap(), "openai/own");
    assert_eq!(model(None, Some("openai/default")).await.unwrap(), "openai/default");
    let failure = model(None, None).await.unwrap_err();
    assert_eq!(failure.code, "default_model_not_configured");
    assert_eq!(failure.message, "Project default model is not configured");
    assert_eq!(failure.attributed_to, Attribution::Definition);
}

#[tokio::test]
async fn the_call_is_a_span_below_the_turn_s_and_its_usage_is_reported() {
    let recorded = Recorded::default();
    let models = FixedModels::saying("Sure");
    let reply = play(prompt("x"), spec("prompt", "support", json!({})), &models, &recorded).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens), ("Sure", 3, 2));
    let spans = recorded.spans();
    let [(SpanStart::Chat { model, .. }, Some(SpanEnd::Replied(replied)))] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!((model.to_string().as_str(), replied.content.as_str()), ("openai/small", "Sure"));
}

#[tokio::test]
async fn a_failure_of_the_model_stays_the_provider_s() {
    let refused = RunFailure::new("model_provider_error", Attribution::ModelProvider, "HTTP 429");
    let recorded = Recorded::default();
    let models = FixedModels::new(Err(refused.clone()));
    let failed = play(prompt("x"), spec("prompt", "support", json!({})), &models, &recorded).await;
    assert_eq!(failed.unwrap_err(), refused);
    assert!(matches!(recorded.spans().as_slice(), [(_, Some(SpanEnd::Failed { .. }))]));
}

#[tokio::test]
async fn an_empty_reply_is_a_failure() {
    let models = FixedModels::saying(" \n");
    let failed = play(prompt("x"), spec("prompt", "support", json!({})), &models, &Recorded::default()).await;
    let failure = failed.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("empty_reply", Attribution::Target));
    assert!(failure.message.contains("openai/small"), "{failure}");
}

#[tokio::test]
async fn a_run_that_began_goes_on_with_the_prompt_and_the_model_that_it_began_with() {
    let models = FixedModels::saying("Sure");
    let factory = |system: &str| {
        let mut prompt = prompt(system);
        prompt.model = None;
        let shelf = Shelf { prompts: vec![prompt], ..Shelf::default() };
        PromptAdapterFactory::new(Arc::new(shelf), Arc::new(models.clone()))
    };
    let spec = |default: &str, kept| {
        let default_model = Some(default.to_owned());
        TargetSpec { default_model, kept, ..spec("prompt", "support", json!({})) }
    };
    let first = factory("before").create(spec("openai/before", None)).await.unwrap();
    let second = factory("after").create(spec("openai/after", first.kept())).await.unwrap();
    take_turn(second.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
    let (model, request) = models.asked.lock().unwrap().remove(0);
    assert_eq!((model.as_str(), request.messages[0].content.as_str()), ("openai/before", "before"));
}

#[tokio::test]
async fn a_broken_template_of_a_prompt_names_its_place() {
    let mut broken = prompt("x");
    broken.messages = vec![PromptMessage { role: PromptRole::User, content: "a\n{% if %}".into() }];
    for (prompt, place) in [(prompt("{{ }}"), "systemPrompt, line 1"), (broken, "messages[0], line 2")] {
        let models = FixedModels::saying("Sure");
        let failed = play(prompt, spec("prompt", "support", json!({})), &models, &Recorded::default()).await;
        let failure = failed.unwrap_err();
        assert_eq!(failure.code, "invalid_target");
        assert!(failure.message.contains(place), "{failure}");
    }
}

/// Nobody has a model here.
struct NoModels;

#[async_trait]
impl ChatModelFactory for NoModels {
    async fn model(&self, _: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        Err(RunFailure::definition("provider_not_found", name.to_owned()).into())
    }
}

/// What a prompt's model would be asked in a turn of the run.
async fn would_ask(prompt: Prompt, run: &str, region: &str) -> Value {
    let shelf = Arc::new(Shelf { prompts: vec![prompt], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(NoModels));
    let spec = spec("prompt", "support", json!({ "region": region }));
    let questions = factory.questions(spec).await.unwrap().unwrap();
    let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(run).unwrap() };
    let context = TraceContext { trace_id: [7; 16], span_id: [7; 8], flags: 1, state: String::new() };
    let span = Recorded::default().span(context);
    let turn = TargetTurn {
        run: &run,
        turn: 1,
        transcript: &dialogue(LINE),
        span: &span,
        session: None,
        admission: Admission::default(),
        so_far: None,
    };
    questions.asked(&turn).unwrap()
}

#[tokio::test]
async fn what_would_be_asked_is_the_models_call_in_any_run_and_needs_no_model() {
    let kind = || prompt("Be kind in {{ params.region }}, {{ threadId }}, {{ traceparent }}.");
    let one = would_ask(kind(), "one", "eu").await;
    assert_eq!(one, would_ask(kind(), "two", "eu").await);
    assert_eq!((&one["model"], &one["messages"][3]["content"]), (&json!("openai/small"), &json!(LINE)));
    assert_ne!(one, would_ask(kind(), "one", "us").await);
    assert_ne!(one, would_ask(prompt("Be rude."), "one", "eu").await);
    let other = Prompt { model: Some("openai/large".into()), ..kind() };
    assert_ne!(one, would_ask(other, "one", "eu").await);
}
