//! A check as people write it: its rule is the one key that is not about all checks.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tool::ToolUse;
use super::{
    Check, CheckRule, Limit, On, PathTest, Pattern, Range, ReplyRule, ReplyTest, Schema as CompiledSchema,
    Texts, TokenLimit, ToolRule, Words,
};
use crate::events::Cost;

/// The keys that are rules, for whoever has none or several.
const RULES: &str = "contains, notContains, matches, notMatches, jsonPath, jsonSchema, toolCalled, toolNotCalled, \
                     toolsInOrder, turns, replyLatencyMs, totalLatencyMs, tokens, costUsd";

/// Why a check is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidCheck {
    #[error("a check must have a rule: one of {RULES}")]
    NoRule,
    #[error("a check has one rule, and this one has {0}: write a check for each")]
    SeveralRules(String),
    #[error("`on` says which of the agent's replies is meant, and `{0}` is not about one of them")]
    OnWithout(&'static str),
    #[error(
        "`ignoreCase` goes with `contains` and `notContains`, not with `{0}`; a pattern ignores case if it begins with `(?i)`"
    )]
    IgnoreCaseWithout(&'static str),
}

/// A check with every key that it may have.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = one_rule)]
pub(super) struct WrittenCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<On>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignore_case: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_contains: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_matches: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_path: Option<PathTest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<CompiledSchema>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_called: Option<ToolUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_not_called: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_in_order: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turns: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_latency_ms: Option<Most<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_latency_ms: Option<Most<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<TokenLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Most<Cost>>,
}

/// Exactly one of the rules has to be there.
fn one_rule(schema: &mut Schema) {
    let is_there =
        |rule: &str| json!({ "required": [rule], "properties": { rule: { "not": { "type": "null" } } } });
    let rules = RULES.split(", ").map(is_there);
    schema.insert("oneOf".to_owned(), rules.collect());
}

/// No more than this.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Most<T> {
    max: T,
}

/// A rule and the key that it is written under.
type Keyed = (&'static str, CheckRule);

fn keyed<T>(key: &'static str, given: Option<T>, rule: impl Fn(T) -> CheckRule) -> Option<Keyed> {
    given.map(|given| (key, rule(given)))
}

impl WrittenCheck {
    fn rules(&mut self) -> Vec<Keyed> {
        self.reply_rules().into_iter().chain(self.tool_rules()).chain(self.limits()).flatten().collect()
    }

    fn reply_rules(&mut self) -> [Option<Keyed>; 6] {
        let (on, ignore_case) = (self.on, self.ignore_case);
        let words = |texts| Words { texts, ignore_case };
        let rule = |test| CheckRule::Reply(ReplyRule { on, test });
        [
            keyed("contains", self.contains.take(), |texts| rule(ReplyTest::Contains(words(texts)))),
            keyed("notContains", self.not_contains.take(), |texts| {
                rule(ReplyTest::NotContains(words(texts)))
            }),
            keyed("matches", self.matches.take(), |pattern| rule(ReplyTest::Matches(pattern))),
            keyed("notMatches", self.not_matches.take(), |pattern| rule(ReplyTest::NotMatches(pattern))),
            keyed("jsonPath", self.json_path.take(), |test| rule(ReplyTest::JsonPath(test))),
            keyed("jsonSchema", self.json_schema.take(), |schema| rule(ReplyTest::JsonSchema(schema))),
        ]
    }

    fn tool_rules(&mut self) -> [Option<Keyed>; 3] {
        let rule = CheckRule::Tool;
        [
            keyed("toolCalled", self.tool_called.take(), |tool| rule(ToolRule::Called(tool))),
            keyed("toolNotCalled", self.tool_not_called.take(), |name| rule(ToolRule::NotCalled(name))),
            keyed("toolsInOrder", self.tools_in_order.take(), |names| rule(ToolRule::InOrder(names))),
        ]
    }

    fn limits(&mut self) -> [Option<Keyed>; 5] {
        let rule = CheckRule::Limit;
        [
            keyed("turns", self.turns, |range| rule(Limit::Turns(range))),
            keyed("replyLatencyMs", self.reply_latency_ms, |most| rule(Limit::ReplyLatencyMs(most.max))),
            keyed("totalLatencyMs", self.total_latency_ms, |most| rule(Limit::TotalLatencyMs(most.max))),
            keyed("tokens", self.tokens, |limit| rule(Limit::Tokens(limit))),
            keyed("costUsd", self.cost_usd, |most| rule(Limit::CostUsd(most.max))),
        ]
    }
}

impl TryFrom<WrittenCheck> for Check {
    type Error = InvalidCheck;

    fn try_from(mut written: WrittenCheck) -> Result<Self, InvalidCheck> {
        let (key, rule) = only(written.rules())?;
        let of_replies = matches!(rule, CheckRule::Reply(_));
        let of_words = matches!(
            rule,
            CheckRule::Reply(ReplyRule { test: ReplyTest::Contains(_) | ReplyTest::NotContains(_), .. })
        );
        if written.on.is_some() && !of_replies {
            return Err(InvalidCheck::OnWithout(key));
        }
        if written.ignore_case && !of_words {
            return Err(InvalidCheck::IgnoreCaseWithout(key));
        }
        Ok(Self { name: written.name, required: written.required, rule })
    }
}

fn only(rules: Vec<Keyed>) -> Result<Keyed, InvalidCheck> {
    match <[Keyed; 1]>::try_from(rules) {
        Ok([rule]) => Ok(rule),
        Err(none) if none.is_empty() => Err(InvalidCheck::NoRule),
        Err(rules) => {
            let keys: Vec<_> = rules.iter().map(|(key, _)| format!("`{key}`")).collect();
            Err(InvalidCheck::SeveralRules(keys.join(" and ")))
        }
    }
}

impl From<Check> for WrittenCheck {
    fn from(Check { name, required, rule }: Check) -> Self {
        let of_rule = match rule {
            CheckRule::Reply(rule) => Self::of_replies(rule),
            CheckRule::Tool(rule) => Self::of_tools(rule),
            CheckRule::Limit(limit) => Self::of_limit(limit),
        };
        Self { name, required, ..of_rule }
    }
}

impl WrittenCheck {
    fn of_replies(ReplyRule { on, test }: ReplyRule) -> Self {
        let mut written = Self { on, ..Self::default() };
        match test {
            ReplyTest::Contains(Words { texts, ignore_case }) => {
                (written.contains, written.ignore_case) = (Some(texts), ignore_case);
            }
            ReplyTest::NotContains(Words { texts, ignore_case }) => {
                (written.not_contains, written.ignore_case) = (Some(texts), ignore_case);
            }
            ReplyTest::Matches(pattern) => written.matches = Some(pattern),
            ReplyTest::NotMatches(pattern) => written.not_matches = Some(pattern),
            ReplyTest::JsonPath(test) => written.json_path = Some(test),
            ReplyTest::JsonSchema(schema) => written.json_schema = Some(schema),
        }
        written
    }

    fn of_tools(rule: ToolRule) -> Self {
        match rule {
            ToolRule::Called(tool) => Self { tool_called: Some(tool), ..Self::default() },
            ToolRule::NotCalled(name) => Self { tool_not_called: Some(name), ..Self::default() },
            ToolRule::InOrder(names) => Self { tools_in_order: Some(names), ..Self::default() },
        }
    }

    fn of_limit(limit: Limit) -> Self {
        match limit {
            Limit::Turns(range) => Self { turns: Some(range), ..Self::default() },
            Limit::ReplyLatencyMs(max) => Self { reply_latency_ms: Some(Most { max }), ..Self::default() },
            Limit::TotalLatencyMs(max) => Self { total_latency_ms: Some(Most { max }), ..Self::default() },
            Limit::Tokens(limit) => Self { tokens: Some(limit), ..Self::default() },
            Limit::CostUsd(max) => Self { cost_usd: Some(Most { max }), ..Self::default() },
        }
    }
}
