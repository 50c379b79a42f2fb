//! The tools of a prompt, and what they answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::adapters::codes;
use crate::adapters::template::{JsonTemplate, TemplateError, Variables};
use crate::definitions::Prompt;
use crate::events::ToolCall;
use crate::execution::ports::RunSpan;
use crate::execution::types::{ChatMessage, SpanEnd, SpanStart, ToolSpec};

/// What a template of a result reads the arguments of its call as.
const ARGUMENTS: &str = "arguments";
/// The most of a result, in bytes: it is sent with every further call of the run.
const MAX_RESULT_BYTES: usize = 64 * 1024;
/// What a model is told in later turns of a call that has no result.
const NO_RESULT: &str = "The call was made. Its result is not known here.";

/// The tools that a prompt offers, with the templates of their results.
pub(super) struct Tools {
    specs: Vec<ToolSpec>,
    results: BTreeMap<String, JsonTemplate>,
}

/// Why there is no result of a tool.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolFault {
    /// Its template cannot be rendered.
    #[error("tool {tool}: {source}")]
    Template {
        /// The tool.
        tool: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// It is too large.
    #[error("tool {tool}: its result has {bytes} bytes; it can have {MAX_RESULT_BYTES}")]
    TooLarge {
        /// The tool.
        tool: String,
        /// Its size.
        bytes: usize,
    },
}

impl Tools {
    /// Reads the prompt's tools.
    pub(super) fn compile(prompt: &Prompt) -> Result<Self, String> {
        let specs = prompt.tools.iter().map(|tool| ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
        });
        let written = prompt.tools.iter().enumerate();
        let results = written.filter_map(|(index, tool)| Some((index, &tool.name, tool.result.as_ref()?)));
        let results = results.map(|(index, name, result)| {
            Ok((name.clone(), JsonTemplate::compile(&format!("tools[{index}].result"), result)?))
        });
        Ok(Self { specs: specs.collect(), results: results.collect::<Result<_, String>>()? })
    }

    /// What the model is told of them.
    pub(super) fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Whether every one of `calls` has a result, and there are any.
    pub(super) fn answer_all(&self, calls: &[ToolCall]) -> bool {
        !calls.is_empty() && calls.iter().all(|call| self.results.contains_key(&call.name))
    }

    /// What the tools answer to `calls`.
    pub(super) fn answers(
        &self,
        calls: &[ToolCall],
        variables: &mut Variables,
    ) -> Result<Vec<ChatMessage>, ToolFault> {
        let answer = |call| Ok(ChatMessage::answering(call, self.answer(call, variables)?));
        calls.iter().map(answer).collect()
    }

    /// Has every one of `calls` answered under a span of its own below `parent`. What they answer, or why they do not, is
    /// found again when the model is asked with it.
    pub(super) fn play(&self, calls: &[ToolCall], variables: &mut Variables, parent: &dyn RunSpan) {
        for call in calls {
            let span = parent.child(SpanStart::Tool { call: call.clone() });
            span.end(match self.answer(call, variables) {
                Ok(result) => SpanEnd::Executed { result },
                Err(fault) => {
                    SpanEnd::Failed { code: codes::TEMPLATE_FAILED.to_owned(), message: fault.to_string() }
                }
            });
        }
    }

    fn answer(&self, call: &ToolCall, variables: &mut Variables) -> Result<String, ToolFault> {
        let Some(result) = self.results.get(&call.name) else { return Ok(NO_RESULT.to_owned()) };
        variables.bind_json(ARGUMENTS, &call.arguments);
        let tool = || call.name.clone();
        let result =
            result.render(variables).map_err(|source| ToolFault::Template { tool: tool(), source })?;
        let text = if let Value::String(text) = result { text } else { result.to_string() };
        match text.len() {
            bytes if bytes > MAX_RESULT_BYTES => Err(ToolFault::TooLarge { tool: tool(), bytes }),
            _ => Ok(text),
        }
    }
}
