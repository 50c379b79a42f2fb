//! Prompts with tools: calls, declared results, rounds, and what a model is told of earlier calls.

use std::sync::Arc;

use scenario_worker::adapters::{PromptAdapterFactory, TargetAdapterFactory as _};
use scenario_worker::definitions::{Prompt, ToolChoice};
use scenario_worker::events::{
    Attribution, MessageRole, ProjectId, RunId, RunKey, TokenUsage, ToolCall, TraceContext,
};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::limits::Admission;
use scenario_worker::execution::ports::{TargetAdapter, TargetReply, TargetTurn};
use scenario_worker::execution::types::{ChatMessage, ChatReply, ChatRole, Message, SpanEnd, SpanStart};
use serde_json::{Value, json};

use super::prompt::FixedModels;
use super::stage::{LINE, Shelf, dialogue, failure, spec, with};
use crate::support::spans::{Recorded, RecordedSpan};

fn prompt(more: Value) -> Prompt {
    let tools = json!([
        { "name": "look", "description": "Looks an order up.",
          "parameters": { "type": "object", "properties": { "id": { "type": "string" } } },
          "result": { "id": "{{ arguments.id }}", "region": "{{ params.region }}", "asked": "{{ input }}", "days": 3 } },
        { "name": "clock", "result": "It is {{ threadId }} o'clock." },
        { "name": "hand_over" },
    ]);
    let base =
        json!({ "id": "support", "systemPrompt": "Be kind.", "model": "openai/small", "tools": tools });
    serde_json::from_value(with(base, more)).unwrap()
}

fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments }
}

fn answer(content: &str, tool_calls: Vec<ToolCall>) -> ChatReply {
    let usage = TokenUsage { input_tokens: 3, output_tokens: 2, ..TokenUsage::default() };
    ChatReply { content: content.to_owned(), tool_calls, usage, ..ChatReply::default() }
}

fn looks(content: &str) -> ChatReply {
    answer(content, vec![call("a", "look", json!({ "id": "7\"" })), call("b", "clock", json!({}))])
}

fn answering(replies: impl IntoIterator<Item = ChatReply>) -> FixedModels {
    FixedModels::answering(replies.into_iter().map(Ok))
}

async fn adapter(prompt: Prompt, models: &FixedModels) -> Box<dyn TargetAdapter> {
    let shelf = Arc::new(Shelf { prompts: vec![prompt], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(models.clone()));
    factory.create(spec("prompt", "support", json!({ "region": "eu" }))).await.map_err(failure).unwrap()
}

/// What happens to a turn of this prompt.
struct Turn<'a> {
    transcript: &'a Arc<[Message]>,
    recorded: Recorded,
}

impl<'a> Turn<'a> {
    fn of(transcript: &'a Arc<[Message]>) -> Self {
        Self { transcript, recorded: Recorded::default() }
    }

    fn with<T>(&self, so_far: Option<&Value>, take: impl FnOnce(TargetTurn<'_>) -> T) -> T {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("run-1").unwrap() };
        let context = TraceContext { trace_id: [7; 16], span_id: [7; 8], flags: 1, state: String::new() };
        let span = self.recorded.span(context);
        let admission = Admission::default();
        let (transcript, session) = (self.transcript, None);
        take(TargetTurn { run: &run, turn: 2, transcript, span: &span, session, admission, so_far })
    }

    async fn call(
        &self,
        adapter: &dyn TargetAdapter,
        so_far: Option<&Value>,
    ) -> Result<TargetReply, RunFailure> {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("run-1").unwrap() };
        let context = TraceContext { trace_id: [7; 16], span_id: [7; 8], flags: 1, state: String::new() };
        let span = self.recorded.span(context);
        let (transcript, session, admission) = (self.transcript, None, Admission::default());
        adapter
            .reply(TargetTurn { run: &run, turn: 2, transcript, span: &span, session, admission, so_far })
            .await
    }

    /// Asks until the turn is over, as a run does.
    async fn play(&self, adapter: &dyn TargetAdapter) -> Result<TargetReply, RunFailure> {
        let mut so_far = None;
        loop {
            let reply = self.call(adapter, so_far.as_ref()).await?;
            match reply.unfinished {
                // It is stored as text.
                Some(state) => so_far = serde_json::from_str(&state.to_string()).unwrap(),
                None => return Ok(reply),
            }
        }
    }
}

async fn play(prompt: Prompt, models: &FixedModels) -> Result<TargetReply, RunFailure> {
    Turn::of(&dialogue(LINE)).play(adapter(prompt, models).await.as_ref()).await
}

fn names(reply: &TargetReply) -> Vec<&str> {
    reply.tool_calls.iter().map(|call| call.name.as_str()).collect()
}

#[tokio::test]
async fn a_model_is_asked_again_with_what_its_tools_answered() {
    let models = answering([looks("Let me see."), answer("It ships.", vec![])]);
    let reply = play(prompt(json!({})), &models).await.unwrap();
    assert_eq!((reply.content.as_str(), names(&reply)), ("Let me see.\n\nIt ships.", vec!["look", "clock"]));
    let [first, second] = models.requests().try_into().unwrap();
    assert_eq!(first.options.tools.len(), 3);
    assert_eq!(first.messages, second.messages[..first.messages.len()]);
    let looked = format!(r#"{{"id":"7\"","region":"eu","asked":"{LINE}","days":3}}"#);
    let [looks, clocks] = &looks("").tool_calls.try_into().unwrap();
    let expected = [
        ChatMessage::calling("Let me see.", vec![looks.clone(), clocks.clone()]),
        ChatMessage::answering(looks, looked),
        ChatMessage::answering(clocks, "It is run-1 o'clock."),
    ];
    assert_eq!(second.messages[first.messages.len()..], expected);
}

#[tokio::test]
async fn each_call_of_the_model_has_its_span_and_its_usage() {
    let models = answering([looks(""), looks(""), answer("Done.", vec![])]);
    let adapter = adapter(prompt(json!({})), &models).await;
    let transcript = dialogue(LINE);
    let turn = Turn::of(&transcript);
    let first = turn.call(adapter.as_ref(), None).await.unwrap();
    assert_eq!((first.usage.tokens(), first.content.as_str(), first.tool_calls.len()), (5, "", 0));
    let second = turn.call(adapter.as_ref(), first.unfinished.as_ref()).await.unwrap();
    let third = turn.call(adapter.as_ref(), second.unfinished.as_ref()).await.unwrap();
    assert_eq!((third.usage.tokens(), third.content.as_str(), third.tool_calls.len()), (5, "Done.", 4));
    assert!(third.unfinished.is_none());
    let spans = turn.recorded.spans();
    let called = |span: &RecordedSpan| match span {
        (SpanStart::Chat { .. }, Some(SpanEnd::Replied(_))) => "chat".to_owned(),
        (SpanStart::Tool { call }, Some(SpanEnd::Executed { result })) => format!("{}: {result}", call.id),
        other => panic!("{other:?}"),
    };
    let looked = format!(r#"a: {{"id":"7\"","region":"eu","asked":"{LINE}","days":3}}"#);
    let round = ["chat".to_owned(), looked, "b: It is run-1 o'clock.".to_owned()];
    let spans: Vec<String> = spans.iter().map(called).collect();
    assert_eq!(spans, [&round[..], &round, &round[..1]].concat(), "each tool answers once a call");
    assert!(adapter.reports_tool_calls(), "checks may look at them");
}

#[tokio::test]
async fn a_call_without_a_result_ends_the_turn_and_is_the_reply() {
    let both = vec![call("a", "look", json!({})), call("b", "hand_over", json!({ "to": "sales" }))];
    for calls in [both[1..].to_vec(), both, vec![call("x", "made_up", json!({}))]] {
        let models = answering([answer("", calls.clone()), answer("no", vec![])]);
        let reply = play(prompt(json!({})), &models).await.unwrap();
        assert_eq!((reply.content.as_str(), &reply.tool_calls), ("", &calls));
        assert_eq!(models.requests().len(), 1);
    }
}

#[tokio::test]
async fn calls_before_the_last_one_are_part_of_the_reply() {
    let handed = answer("I hand you over.", vec![call("c", "hand_over", json!({}))]);
    let models = answering([looks(""), handed]);
    let reply = play(prompt(json!({})), &models).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), names(&reply)),
        ("I hand you over.", vec!["look", "clock", "hand_over"])
    );
}

#[tokio::test]
async fn a_model_that_never_stops_calling_is_stopped() {
    let models = answering([looks("")]);
    let failed = play(prompt(json!({ "maxToolRounds": 2 })), &models).await.unwrap_err();
    assert_eq!((failed.code.as_ref(), failed.attributed_to), ("tool_rounds_exhausted", Attribution::Target));
    assert!(failed.message.contains("2 times") && failed.hint.unwrap().contains("maxToolRounds"));
    assert_eq!(models.requests().len(), 3, "the first call and two more");
    let models = answering([looks("")]);
    play(prompt(json!({})), &models).await.unwrap_err();
    assert_eq!(models.requests().len(), 9, "eight more where nothing is said");
}

#[tokio::test]
async fn a_tool_that_must_be_called_must_be_so_once_a_turn() {
    let chosen = async |choice: Value| {
        let models = answering([looks(""), answer("ok", vec![])]);
        play(prompt(json!({ "toolChoice": choice })), &models).await.unwrap();
        let requests = models.requests();
        requests.into_iter().map(|request| request.options.tool_choice).collect::<Vec<_>>()
    };
    assert_eq!(chosen(json!("required")).await, [Some(ToolChoice::Required), None]);
    assert_eq!(chosen(json!({ "tool": "look" })).await, [Some(ToolChoice::Tool("look".into())), None]);
    assert_eq!(chosen(json!("none")).await, [Some(ToolChoice::None), Some(ToolChoice::None)]);
}

#[tokio::test]
async fn silence_is_a_failure_unless_something_was_said_before() {
    let models = answering([looks(""), answer(" ", vec![])]);
    assert_eq!(play(prompt(json!({})), &models).await.unwrap_err().code, "empty_reply");
    let models = answering([looks("Done already."), answer(" ", vec![])]);
    assert_eq!(play(prompt(json!({})), &models).await.unwrap().content, "Done already.");
}

#[tokio::test]
async fn what_a_provider_wants_back_is_given_back() {
    let thoughts = json!([{ "type": "thinking", "signature": "s" }]);
    let first = ChatReply { verbatim: Some(thoughts.clone()), ..looks("") };
    let models = answering([first, answer("ok", vec![])]);
    play(prompt(json!({})), &models).await.unwrap();
    assert_eq!(models.requests()[1].messages[4].verbatim, Some(thoughts));
}

/// A conversation whose agent called tools in its first turn, and in its second one nothing but a tool.
fn called_before() -> Arc<[Message]> {
    let mut said = dialogue(LINE).to_vec();
    said[1].tool_calls = vec![call("t1", "look", json!({ "id": "1" })), call("t2", "hand_over", json!({}))];
    let silent = Message { content: String::new(), ..said[1].clone() };
    let scripted = Message { role: MessageRole::Tool, content: "nobody asked".into(), ..said[0].clone() };
    let again = Message { content: "Well?".into(), ..said[2].clone() };
    said.extend([silent, scripted, again]);
    said.into()
}

#[tokio::test]
async fn a_model_with_tools_is_told_what_they_answered_in_earlier_turns() {
    let models = answering([answer("ok", vec![])]);
    let transcript = called_before();
    Turn::of(&transcript).play(adapter(prompt(json!({})), &models).await.as_ref()).await.unwrap();
    let messages = models.requests().remove(0).messages;
    let told: Vec<(ChatRole, &str, usize)> =
        messages.iter().map(|m| (m.role, m.content.as_str(), m.tool_calls.len())).collect();
    let then = |line: &str| format!(r#"{{"id":"1","region":"eu","asked":"{line}","days":3}}"#);
    let (first, second) = (then("Hello"), then(LINE));
    let unknown = "The call was made. Its result is not known here.";
    let expected = [
        (ChatRole::System, "Be kind.", 0),
        (ChatRole::User, "Hello", 0),
        (ChatRole::Assistant, "", 2),
        (ChatRole::Tool, &first, 0),
        (ChatRole::Tool, unknown, 0),
        (ChatRole::Assistant, "How can I help?", 0),
        (ChatRole::User, LINE, 0),
        (ChatRole::Assistant, "", 2),
        (ChatRole::Tool, &second, 0),
        (ChatRole::Tool, unknown, 0),
        (ChatRole::User, "Well?", 0),
    ];
    assert_eq!(told, expected, "each result is as it was when its tool was called");
}

#[tokio::test]
async fn what_would_be_asked_next_follows_from_what_was_answered() {
    let models = answering([looks("")]);
    let (one, transcript) = (prompt(json!({})), dialogue(LINE));
    let turn = Turn::of(&transcript);
    let adapter_of_one = adapter(one.clone(), &models).await;
    let state = turn.call(adapter_of_one.as_ref(), None).await.unwrap().unfinished;
    let asked = |adapter: &dyn TargetAdapter, so_far: Option<&Value>| {
        turn.with(so_far, |turn| adapter.asked(&turn)).unwrap()
    };
    let (first, next) =
        (asked(adapter_of_one.as_ref(), None), asked(adapter_of_one.as_ref(), state.as_ref()));
    assert_eq!(first["options"]["tools"].as_array().unwrap().len(), 3);
    let shown = next["messages"].to_string();
    assert!(shown.contains("o'clock") && !shown.contains("run-1"), "no run's own: {shown}");
    let mut other = one;
    other.tools[1].result = Some(json!("another answer"));
    let other = adapter(other, &models).await;
    assert_eq!(asked(other.as_ref(), None), first, "it was not asked yet");
    assert_ne!(asked(other.as_ref(), state.as_ref()), next);
}

#[tokio::test]
async fn results_that_cannot_be_made_say_which_tool_they_are_of() {
    let of = |result: Value| prompt(json!({ "tools": [{ "name": "look", "result": result }] }));
    for (result, words) in [
        (json!("{{ arguments.id | nope }}"), "tool look: "),
        (json!("{% for i in range(9000) %}xxxxxxxxxxxxxxxx{% endfor %}"), "tool look: "),
    ] {
        let mut called = looks("");
        called.tool_calls.truncate(1);
        let models = answering([called]);
        let failed = play(of(result), &models).await.unwrap_err();
        assert_eq!(
            (failed.code.as_ref(), failed.attributed_to),
            ("template_failed", Attribution::Definition)
        );
        assert!(failed.message.contains(words), "{failed}");
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_the_worker_s() {
    let models = FixedModels::saying("no");
    let adapter = adapter(prompt(json!({})), &models).await;
    let transcript = dialogue(LINE);
    let failed = Turn::of(&transcript).call(adapter.as_ref(), Some(&json!(7))).await.unwrap_err();
    assert_eq!((failed.code.as_ref(), failed.attributed_to), ("state_unreadable", Attribution::Worker));
    assert!(models.requests().is_empty());
}

#[tokio::test]
async fn what_a_prompt_asks_for_and_its_model_cannot_do_is_known_before_a_word_is_said() {
    let mut models = FixedModels::saying("no");
    models.objection = Some("does not know `seed`".into());
    let shelf = Arc::new(Shelf { prompts: vec![prompt(json!({ "seed": 1 }))], ..Shelf::default() });
    let factory = PromptAdapterFactory::new(shelf, Arc::new(models));
    let refused = factory.create(spec("prompt", "support", json!({}))).await.err().map(failure).unwrap();
    assert_eq!((refused.code.as_ref(), refused.attributed_to), ("invalid_target", Attribution::Definition));
    assert_eq!(refused.message, "Prompt support: model openai/small does not know `seed`");
}

#[tokio::test]
async fn every_parameter_of_a_prompt_reaches_its_model() {
    let more = json!({
        "topP": 0.5, "stop": ["x"], "frequencyPenalty": 1.0, "presencePenalty": -1.0, "responseFormat": "json",
        "extra": { "user": "u" }, "stream": true,
    });
    let models = FixedModels::saying("ok");
    play(prompt(more), &models).await.unwrap();
    let options = models.requests().remove(0).options;
    assert!(options.stream);
    let told = json!(options);
    assert_eq!(
        (&told["topP"], &told["stop"], &told["extra"]),
        (&json!(0.5), &json!(["x"]), &json!({ "user": "u" }))
    );
    assert_eq!((&told["frequencyPenalty"], &told["presencePenalty"]), (&json!(1.0), &json!(-1.0)));
    assert_eq!(told["responseFormat"], json!("json"));
}
