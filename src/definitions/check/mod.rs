//! What can be told of a conversation without asking a model.

mod compiled;
mod limit;
mod reply;
mod schema;
mod tool;
mod written;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use compiled::{Compile, Compiled, Path, Pattern, Schema};
pub use limit::{Limit, TokenLimit, UsageRole};
pub use reply::{On, PathTest, ReplyRule, ReplyTest, Texts, Words};
pub use tool::{Range, Times, ToolCalls, ToolRule, ToolUse};

use crate::text::cut;

/// The most that a check is called by where it has no name, in bytes: a line of an outcome.
const MAX_TITLE_BYTES: usize = 200;

/// A deterministic check: one rule. In a file the rule is a key of its own beside `name` and `required`, such as
/// `contains: refund` or `turns: { max: 4 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "written::WrittenCheck", into = "written::WrittenCheck")]
pub struct Check {
    /// How the outcome calls it; its rule in words where there is no name.
    pub name: Option<String>,
    /// Where it fails, the judge is not asked at all.
    pub required: bool,
    /// What it looks at.
    pub rule: CheckRule,
}

/// What a check looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckRule {
    /// What the agent said.
    Reply(ReplyRule),
    /// What tools the agent called.
    Tool(ToolRule),
    /// What the run took.
    Limit(Limit),
}

impl Check {
    /// How the outcome calls it.
    #[must_use]
    pub fn title(&self) -> String {
        let in_words = || match &self.rule {
            CheckRule::Reply(rule) => rule.in_words(),
            CheckRule::Tool(rule) => rule.in_words(),
            CheckRule::Limit(limit) => limit.in_words(),
        };
        self.name.clone().unwrap_or_else(|| cut(&in_words(), MAX_TITLE_BYTES))
    }
}

#[cfg(test)]
mod tests;
