//! The customer with a model that says what a test wants.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::conversation::tests::said;
use super::*;
use crate::definitions::CustomerForm;
use crate::events::{MessageRole, TraceContext};
use crate::execution::limits::Waiting;
use crate::execution::types::{ChatReply, ModelName, SpanEnd, SpanStart};

/// Gives its answers in turn, and the last one for ever.
struct Model {
    name: ModelName,
    answers: Mutex<VecDeque<&'static str>>,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl ChatModel for Model {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn chat_watched(&self, request: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        self.asked.lock().unwrap().push(request.clone());
        let mut answers = self.answers.lock().unwrap();
        let content = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        let usage = TokenUsage { input_tokens: 10, output_tokens: 2, calls: 1, ..TokenUsage::default() };
        match content {
            Some(content) => Ok(ChatReply { content: content.into(), usage, ..ChatReply::default() }),
            None => Err(RunFailure::new(code::MODEL_PROVIDER_ERROR, Attribution::ModelProvider, "HTTP 500")),
        }
    }
}

struct Span;

impl RunSpan for Span {
    fn child(&self, _: SpanStart) -> Box<dyn RunSpan> {
        Box::new(Self)
    }

    fn context(&self) -> TraceContext {
        TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1, state: String::new() }
    }

    fn end(self: Box<Self>, _: SpanEnd) {}
}

/// What came of asking a customer for one line.
struct Asked {
    line: Result<String, RunFailure>,
    usage: TokenUsage,
    requests: Vec<ChatRequest>,
}

async fn ask(form: CustomerForm, said: Vec<Message>, answers: &[&'static str]) -> Asked {
    let mut scenario: Scenario = serde_json::from_value(serde_json::json!({
        "id": "refund", "name": "Refund", "situation": "A mug broke.", "userSimulator": { "temperature": 0.5, "seed": 7 }
    }))
    .unwrap();
    scenario.user_simulator.form = form;
    let model = Model {
        name: ModelName::parse("double/model").unwrap(),
        answers: Mutex::new(answers.iter().copied().collect()),
        asked: Mutex::default(),
    };
    let (messages, mut usage) = (said.into(), TokenUsage::default());
    let customer = Customer { model: &model, scenario: &scenario, turn: 2, messages: &messages, span: &Span };
    let line = customer.speak(&mut usage).await;
    Asked { line, usage, requests: model.asked.into_inner().unwrap() }
}

fn one_turn() -> Vec<Message> {
    vec![said(MessageRole::User, "my mug broke"), said(MessageRole::Assistant, "What is your order number?")]
}

fn told(request: &ChatRequest) -> String {
    request.messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_good_line_is_asked_for_once() {
    for (form, answer) in
        [(CustomerForm::Transcript, r#"{"message": "it's 4711"}"#), (CustomerForm::RoleReversal, "it's 4711")]
    {
        let asked = ask(form, one_turn(), &[answer]).await;
        assert_eq!(
            (asked.line.unwrap().as_str(), asked.requests.len(), asked.usage.calls),
            ("it's 4711", 1, 1)
        );
        let sampling = &asked.requests[0].sampling;
        assert_eq!((sampling.temperature, sampling.seed), (Some(0.5), Some(7)));
    }
}

#[tokio::test]
async fn a_bad_line_is_asked_for_again_with_what_was_wrong_and_every_call_counts() {
    for form in [CustomerForm::Transcript, CustomerForm::RoleReversal] {
        let answers = ["How can I help you today?", "*sighs* it's 4711", "it's 4711"];
        let Asked { line, usage, requests } = ask(form, one_turn(), &answers).await;
        assert_eq!(line.unwrap(), "it's 4711");
        assert_eq!((usage.calls, usage.input_tokens, usage.output_tokens), (3, 30, 6));
        assert!(!told(&requests[0]).contains("refused"), "{}", told(&requests[0]));
        let second = told(&requests[1]);
        assert!(second.contains("speaks as the agent: “How can I help you today?”"), "{second}");
        let third = told(&requests[2]);
        assert!(third.contains("describes what the customer does: “*sighs* it's 4711”"), "{third}");
        assert!(!third.contains("How can I help"), "only the last answer is told: {third}");
    }
}

#[tokio::test]
async fn a_customer_who_stays_bad_is_given_up_and_is_to_blame() {
    let agents = "We have sent you a new mug today, it should arrive by Friday.";
    let messages = vec![said(MessageRole::User, "my mug broke"), said(MessageRole::Assistant, agents)];
    let Asked { line, usage, requests } = ask(CustomerForm::Transcript, messages, &[agents]).await;
    let failure = line.unwrap_err();
    assert_eq!(
        (failure.code.as_ref(), failure.attributed_to),
        ("user_simulator_invalid", Attribution::UserSimulator)
    );
    assert_eq!(
        failure.message,
        format!(
            "The simulated customer (double/model) gave no line of a customer in turn 2, 3 times; an answer that \
             repeats what the agent said: “{agents}”"
        )
    );
    assert_eq!((usage.calls, requests.len()), (3, 3));
}

#[tokio::test]
async fn a_customer_who_never_had_words_is_silent_and_one_who_had_is_not() {
    let silent = ask(CustomerForm::Transcript, one_turn(), &["", " ", "..."]).await;
    assert_eq!(silent.line.unwrap_err().code, "user_simulator_empty");
    let once = ask(CustomerForm::Transcript, one_turn(), &["", "Agent: hello", ""]).await.line.unwrap_err();
    assert_eq!(once.code, "user_simulator_invalid");
    assert!(once.message.ends_with("that speaks as the agent: “Agent: hello”"), "{}", once.message);
}

#[tokio::test]
async fn a_long_bad_line_is_quoted_in_part() {
    let long: &'static str = format!("How can I help you? {}", "a".repeat(5_000)).leak();
    let Asked { line, requests, .. } = ask(CustomerForm::RoleReversal, one_turn(), &[long]).await;
    let message = line.unwrap_err().message;
    assert!(message.len() < 600 && message.contains(text::TRUNCATED), "{message}");
    assert!(told(&requests[1]).len() < told(&requests[0]).len() + 700);
}

#[tokio::test]
async fn a_model_that_fails_is_not_asked_again_and_its_call_counts() {
    let Asked { line, usage, .. } = ask(CustomerForm::Transcript, Vec::new(), &[]).await;
    assert_eq!((line.unwrap_err().code.as_ref(), usage.calls), ("model_provider_error", 1));
}
