//! The offline kind: says and judges what its definition says. For demos, tests and load.

mod judge;
mod lines;
mod speaker;

use std::time::Duration;

use async_trait::async_trait;

use super::failure;
use crate::definitions::{ProviderKind, ScriptedForm, ScriptedModel};
use crate::events::{TokenUsage, ToolCall};
use crate::execution::failure::RunFailure;
use crate::execution::limits::Waiting;
use crate::execution::ports::ChatModel;
use crate::execution::types::{AnswerForm, ChatReply, ChatRequest, ModelName, ModelServer, SceneRole};

/// Characters of one token, roughly: the rule of thumb for English.
const CHARS_PER_TOKEN: usize = 4;

/// The id of the one tool call of a reply.
const CALL_ID: &str = "call_1";

/// The status with which a form of answers is refused.
const REFUSED_FORM_STATUS: u16 = 400;

/// Why a reply ended that only speaks.
const FINISHED_SPEAKING: &str = "stop";

/// Why a reply ended that calls its tool.
const FINISHED_CALLING: &str = "tool_calls";

/// A model that plays by its script, without a network.
#[derive(Debug)]
pub(super) struct OfflineModel {
    name: ModelName,
    script: ScriptedModel,
}

impl OfflineModel {
    /// Nobody but this program.
    pub(super) const SERVER: ModelServer =
        ModelServer { kind: ProviderKind::Scripted, host: None, port: None };

    pub(super) fn new(name: ModelName, script: ScriptedModel) -> Self {
        Self { name, script }
    }

    fn reply(&self, request: &ChatRequest) -> ChatReply {
        let mut reply = match (request.form.spec(), request.scene.role) {
            (Some(spec), SceneRole::Judge) => self.judgement(&spec.name, request),
            _ => spoken(speaker::line(&self.script.replies, &request.scene)),
        };
        reply.usage = estimate(request, &reply);
        reply.model = Some(self.name.model.clone());
        reply
    }

    /// The judgement in the form that is asked for. A tool that no judge has is not called: the script has nothing to
    /// say to it.
    fn judgement(&self, tool: &str, request: &ChatRequest) -> ChatReply {
        let Some(arguments) = judge::arguments(&self.script, tool, &request.scene) else {
            return spoken(String::new());
        };
        if !matches!(request.form, AnswerForm::Tool(_)) {
            return spoken(arguments.to_string());
        }
        let call = ToolCall { id: CALL_ID.to_owned(), name: tool.to_owned(), arguments };
        ChatReply {
            tool_calls: vec![call],
            finish_reason: Some(FINISHED_CALLING.to_owned()),
            ..ChatReply::default()
        }
    }
}

#[async_trait]
impl ChatModel for OfflineModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn server(&self) -> Option<ModelServer> {
        Some(Self::SERVER)
    }

    /// It costs nothing, unless its provider says otherwise.
    fn knows_its_price(&self) -> bool {
        true
    }

    async fn chat_watched(&self, request: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        if self.script.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.script.delay_ms)).await;
        }
        let failed = |status, words: &str| failure::of_offline(&self.name, status, words, &request.form);
        if let Some(fail) = &self.script.fail {
            return Err(failed(fail.status, &fail.message));
        }
        match refusal(&self.script.refuses, &request.form) {
            Some(words) => Err(failed(REFUSED_FORM_STATUS, words)),
            None => Ok(self.reply(request)),
        }
    }
}

/// What a model says that does not answer in this form.
fn refusal(refused: &[ScriptedForm], form: &AnswerForm) -> Option<&'static str> {
    let (form, words) = match form {
        AnswerForm::Words | AnswerForm::Json(_) => return None,
        AnswerForm::Tool(_) => (ScriptedForm::Tool, "this model does not support tools"),
        AnswerForm::Schema(_) => (ScriptedForm::Schema, "this model does not support response schemas"),
    };
    refused.contains(&form).then_some(words)
}

fn spoken(content: String) -> ChatReply {
    ChatReply { content, finish_reason: Some(FINISHED_SPEAKING.to_owned()), ..ChatReply::default() }
}

/// An estimate of the tokens from the characters: nothing here counts like a real model.
fn estimate(request: &ChatRequest, reply: &ChatReply) -> TokenUsage {
    let asked: usize = request.messages.iter().map(|message| message.content.chars().count()).sum();
    let called: usize = reply.tool_calls.iter().map(|call| call.arguments.to_string().chars().count()).sum();
    let tokens = |chars: usize| chars.div_ceil(CHARS_PER_TOKEN) as u64;
    TokenUsage {
        input_tokens: tokens(asked),
        output_tokens: tokens(reply.content.chars().count() + called),
        calls: 1,
        ..TokenUsage::default()
    }
}
