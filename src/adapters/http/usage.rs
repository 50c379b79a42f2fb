//! The tokens that an agent says it used.

use serde::Deserialize;
use serde_json::Value;

use super::path::ReplyPath;
use crate::events::TokenUsage;

/// Where tokens are in a reply, and in the events of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UsageDefinition {
    /// Tokens that the agent's model was sent: a `JSONPath`.
    #[serde(default)]
    input_tokens: Option<String>,
    /// Tokens that came back: a `JSONPath`.
    #[serde(default)]
    output_tokens: Option<String>,
}

/// Where tokens are.
#[derive(Debug, Default)]
pub(super) struct UsageRules {
    input: Option<ReplyPath>,
    output: Option<ReplyPath>,
}

impl UsageRules {
    /// Reads what a definition says.
    pub(super) fn read(definition: Option<&UsageDefinition>) -> Result<Self, String> {
        let Some(definition) = definition else { return Ok(Self::default()) };
        Ok(Self {
            input: ReplyPath::parse_written("usage.inputTokens", definition.input_tokens.as_ref())?,
            output: ReplyPath::parse_written("usage.outputTokens", definition.output_tokens.as_ref())?,
        })
    }

    /// Whether anything is looked for.
    pub(super) fn looks(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }

    /// Takes over what `reply`, or an event of a stream, says. What it says nothing of stays as it is, because an agent
    /// that does not count is no agent that failed.
    pub(super) fn take(&self, reply: &Value, usage: &mut TokenUsage) {
        let count = |path: &Option<ReplyPath>| path.as_ref()?.first(reply).and_then(tokens);
        usage.input_tokens = count(&self.input).unwrap_or(usage.input_tokens);
        usage.output_tokens = count(&self.output).unwrap_or(usage.output_tokens);
    }
}

fn tokens(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_counted_is_taken_over_and_the_rest_stays() {
        let definition = json!({ "inputTokens": "$.usage.in", "outputTokens": "$.usage.out" });
        let rules = UsageRules::read(Some(&serde_json::from_value(definition).unwrap())).unwrap();
        let mut usage = TokenUsage::default();
        for (reply, expected) in [
            (json!({ "usage": { "in": 11, "out": 1 } }), (11, 1)),
            (json!({ "usage": { "out": "5" } }), (11, 5)),
            (json!({ "usage": null }), (11, 5)),
            (json!({ "usage": { "in": -1, "out": 2.5 } }), (11, 5)),
            (json!({ "usage": { "in": "many", "out": u64::MAX } }), (11, u64::MAX)),
        ] {
            rules.take(&reply, &mut usage);
            assert_eq!((usage.input_tokens, usage.output_tokens), expected, "{reply}");
        }
    }
}
