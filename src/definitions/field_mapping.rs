//! Which of a run's facts a target's own variable stands for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Variables that a target's templates read, and what each stands for. They come before everything of the same name.
pub type FieldMappings = BTreeMap<String, FieldMapping>;

/// Names that templates read as something else: values, words of the language, and the secrets.
const NO_VARIABLES: [&str; 16] = [
    "and", "else", "false", "False", "if", "in", "is", "loop", "none", "None", "not", "or", "secrets",
    "self", "true", "True",
];

/// Why no template can read a variable called `name`, if it cannot.
#[must_use]
pub fn variable_name_problem(name: &str) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = name.starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
    if !begins_well || !name.chars().all(is_word) {
        return Some(
            "cannot be read by a template: a name is a letter or `_`, then letters, digits and `_`"
                .to_owned(),
        );
    }
    NO_VARIABLES
        .contains(&name)
        .then(|| format!("cannot be read by a template: there `{name}` is something else"))
}

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FieldMapping {
    /// A fact of the run.
    Source {
        /// Where it is from.
        #[serde(default)]
        source_id: MappingSource,
        /// Which one.
        path: [ScenarioField; 1],
    },
    /// Always this.
    Value {
        /// The value.
        value: Value,
    },
}

/// Where facts are from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappingSource {
    /// The scenario that is played.
    #[default]
    Scenario,
}

/// A fact of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScenarioField {
    /// The customer's last line.
    #[serde(alias = "scenario_message")]
    Input,
    /// The conversation.
    #[serde(alias = "conversation_history")]
    Messages,
    /// The conversation's id.
    #[serde(alias = "thread_id")]
    ThreadId,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mapping: Value) -> Result<FieldMapping, String> {
        serde_json::from_value(mapping).map_err(|error| error.to_string())
    }

    #[test]
    fn a_mapping_is_a_fact_of_the_run_or_a_value() {
        for (name, field) in [
            ("input", ScenarioField::Input),
            ("scenario_message", ScenarioField::Input),
            ("messages", ScenarioField::Messages),
            ("conversation_history", ScenarioField::Messages),
            ("threadId", ScenarioField::ThreadId),
            ("thread_id", ScenarioField::ThreadId),
        ] {
            let mapping = read(json!({ "type": "source", "sourceId": "scenario", "path": [name] })).unwrap();
            assert_eq!(mapping, read(json!({ "type": "source", "path": [name] })).unwrap());
            assert_eq!(mapping, FieldMapping::Source { source_id: MappingSource::Scenario, path: [field] });
            assert_eq!(read(serde_json::to_value(&mapping).unwrap()).unwrap(), mapping);
        }
        assert_eq!(
            read(json!({ "type": "value", "value": "eu" })).unwrap(),
            FieldMapping::Value { value: json!("eu") }
        );
    }

    #[test]
    fn a_variable_has_a_name_that_a_template_can_read() {
        for good in ["a", "_x", "order_id2", "params", "input", "threadId"] {
            assert_eq!(variable_name_problem(good), None);
        }
        for bad in ["", "a b", "a-b", "2a", "größe", "a.b", "secrets", "true", "loop", "not"] {
            assert!(variable_name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_mapping_to_what_is_not_there_says_what_is() {
        for (mapping, part) in [
            (json!({ "type": "source", "path": ["mood"] }), "`input`"),
            (json!({ "type": "source", "path": ["input", "x"] }), "length"),
            (json!({ "type": "source", "sourceId": "weather", "path": ["input"] }), "`scenario`"),
            (json!({ "type": "value" }), "`value`"),
            (json!({ "type": "magic" }), "`source`"),
        ] {
            let error = read(mapping.clone()).unwrap_err();
            assert!(error.contains(part), "{mapping}: {error}");
        }
    }
}
