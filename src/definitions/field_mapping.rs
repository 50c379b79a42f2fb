//! Which of a run's facts a target's own variable stands for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Variables that a target's templates read, and what each stands for. They come before everything of the same name.
pub type FieldMappings = BTreeMap<String, FieldMapping>;

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
