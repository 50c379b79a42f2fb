//! Rules of what the run took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Range;
use crate::events::Cost;

/// A rule of what the run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Turns.
    Turns(Range),
    /// The longest that the agent may take for a reply, in milliseconds.
    ReplyLatencyMs(u64),
    /// The longest that the agent may take for all its replies together, in milliseconds.
    TotalLatencyMs(u64),
    /// Tokens.
    Tokens(TokenLimit),
    /// The most that calls of models may cost together.
    CostUsd(Cost),
}

/// How many tokens may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenLimit {
    /// The most, sent and received.
    pub max: u64,
    /// By whom; by everybody together where nothing says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UsageRole>,
}

/// Who uses tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UsageRole {
    /// The simulated customer.
    UserSimulator,
    /// The agent under test.
    Target,
    /// The judge.
    Judge,
}

impl UsageRole {
    /// Who it is, in words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::UserSimulator => "the simulated customer",
            Self::Target => "the agent",
            Self::Judge => "the judge",
        }
    }
}

impl Limit {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Turns(range) => format!("the conversation takes {} turns", range.in_words()),
            Self::ReplyLatencyMs(max) => format!("the agent takes at most {max} ms for each reply"),
            Self::TotalLatencyMs(max) => format!("the agent takes at most {max} ms for all replies together"),
            Self::Tokens(TokenLimit { max, role: None }) => format!("the run uses at most {max} tokens"),
            Self::Tokens(TokenLimit { max, role: Some(role) }) => {
                format!("{} uses at most {max} tokens", role.in_words())
            }
            Self::CostUsd(max) => format!("the run costs at most {max}"),
        }
    }
}
