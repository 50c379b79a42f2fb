//! What is made of an agent's answers.

use http::Method;

use super::definition::HttpDefinition;
use super::limits::Limits;
use super::path::ReplyPath;
use super::polling::Poll;
use super::retry::Retries;
use super::status::StatusRules;
use super::streaming::StreamRules;
use super::tool_calls::ToolCallRules;
use super::usage::UsageRules;
use crate::adapters::template::UnknownSecret;
use crate::definitions::Secrets;

/// What is made of an agent's answers.
pub(super) struct ReplyRules {
    /// Where its words are in a reply; `None` is everywhere.
    pub(super) output: Option<ReplyPath>,
    /// Which answers are answers.
    pub(super) status: StatusRules,
    /// How long it may take, and how much it may say.
    pub(super) limits: Limits,
    /// When it is asked again.
    pub(super) retries: Retries,
    /// How its words are put together where they come bit by bit.
    pub(super) stream: Option<StreamRules>,
    /// Where its tool calls are.
    pub(super) tool_calls: Option<ToolCallRules>,
    /// Where the tokens are that it reports.
    pub(super) usage: UsageRules,
    /// How to look for an answer that comes later.
    pub(super) poll: Option<Poll>,
}

impl ReplyRules {
    /// Reads what the definition says of answers to requests of `method`.
    pub(super) fn read(definition: &HttpDefinition, method: &Method) -> Result<Self, String> {
        let on_unknown = definition.on_unknown.into();
        Ok(Self {
            output: ReplyPath::parse_written("outputPath", definition.output_path.as_ref())?,
            status: StatusRules::read(&definition.status)?,
            limits: Limits::read(definition)?,
            retries: Retries::read(definition.retries.as_ref(), method, on_unknown)?,
            stream: definition.stream.as_ref().map(StreamRules::read).transpose()?,
            tool_calls: definition.tool_calls.as_ref().map(ToolCallRules::read).transpose()?,
            usage: UsageRules::read(definition.usage.as_ref())?,
            poll: definition.poll.as_ref().map(Poll::read).transpose()?,
        })
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        self.poll.as_mut().map_or(Ok(()), |poll| poll.resolve_secrets(secrets))
    }
}
