//! Something that holds of a reply or does not.

use serde::Deserialize;
use serde_json::Value;

use super::path::{ReplyPath, says_something};

/// A condition as it is written: a `JSONPath` that has to match something, or one with what it has to match.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "it is no JSONPath, and no map of `path` with `equals` or `oneOf` and nothing else"
)]
pub(super) enum ConditionDefinition {
    /// The path matches something that is not `null`, `false` or empty.
    Matches(String),
    /// The path matches one of these values.
    Compares(ComparisonDefinition),
}

/// A path, and what it has to match.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ComparisonDefinition {
    /// The path.
    path: String,
    /// The value.
    #[serde(default)]
    equals: Option<Value>,
    /// The values, one of which is enough.
    #[serde(default)]
    one_of: Vec<Value>,
}

/// A condition that can be looked at.
#[derive(Debug)]
pub(super) struct Condition {
    path: ReplyPath,
    /// One of these is matched; none is anything that says something.
    wanted: Vec<Value>,
}

impl Condition {
    /// Reads the condition that stands in `field`.
    pub(super) fn parse(field: &'static str, definition: &ConditionDefinition) -> Result<Self, String> {
        let (path, wanted) = match definition {
            ConditionDefinition::Matches(path) => (path, Vec::new()),
            ConditionDefinition::Compares(comparison) => (&comparison.path, comparison.wanted(field)?),
        };
        Ok(Self { path: ReplyPath::parse(field, path)?, wanted })
    }

    /// Whether it holds of `reply`.
    pub(super) fn holds(&self, reply: &Value) -> bool {
        self.matched(reply).is_some()
    }

    /// The first value that makes it hold.
    pub(super) fn matched<'a>(&self, reply: &'a Value) -> Option<&'a Value> {
        let is_wanted = |value: &&Value| {
            if self.wanted.is_empty() { says_something(value) } else { self.wanted.contains(value) }
        };
        self.path.all(reply).into_iter().find(is_wanted)
    }
}

impl ComparisonDefinition {
    fn wanted(&self, field: &str) -> Result<Vec<Value>, String> {
        match (&self.equals, self.one_of.as_slice()) {
            (Some(value), []) => Ok(vec![value.clone()]),
            (None, [_, ..]) => Ok(self.one_of.clone()),
            _ => Err(format!("{field}: either `equals` or `oneOf` says what the path has to match")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(definition: Value) -> Result<Condition, String> {
        let definition: ConditionDefinition =
            serde_json::from_value(definition).map_err(|error| error.to_string())?;
        Condition::parse("until", &definition)
    }

    #[test]
    fn a_path_holds_where_it_matches_something() {
        let done = condition(json!("$.done")).unwrap();
        for (reply, holds) in [
            (json!({ "done": true }), true),
            (json!({ "done": 0 }), true),
            (json!({ "done": "yes" }), true),
            (json!({ "done": false }), false),
            (json!({ "done": null }), false),
            (json!({ "done": " " }), false),
            (json!({ "done": [] }), false),
            (json!({}), false),
            (json!("done"), false),
        ] {
            assert_eq!(done.holds(&reply), holds, "{reply}");
        }
    }

    #[test]
    fn a_comparison_holds_where_a_match_is_one_of_the_values() {
        let equals = condition(json!({ "path": "$.status", "equals": "done" })).unwrap();
        assert!(equals.holds(&json!({ "status": "done" })));
        assert!(!equals.holds(&json!({ "status": "running" })) && !equals.holds(&json!({})));
        let any = condition(json!({ "path": "$.steps[*].code", "oneOf": [3, null] })).unwrap();
        assert!(any.holds(&json!({ "steps": [{ "code": 1 }, { "code": 3 }] })));
        assert!(any.holds(&json!({ "steps": [{ "code": null }] })));
        assert!(!any.holds(&json!({ "steps": [{ "code": "3" }] })));
    }

    #[test]
    fn a_condition_that_cannot_be_meant_is_refused() {
        for definition in [
            json!("status"),
            json!({ "path": "$.a" }),
            json!({ "path": "$.a", "equals": 1, "oneOf": [1] }),
            json!({ "path": "$.a", "oneOf": [] }),
            json!({ "path": "$.a", "is": 1 }),
            json!(5),
        ] {
            assert!(condition(definition.clone()).is_err(), "{definition}");
        }
    }
}
