//! What a scenario leaves open until it is run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::also_called;

/// The most parameters of one scenario.
pub const MAX_PARAMETERS: usize = 20;
/// The longest name of a parameter, in bytes; names are ASCII.
pub const MAX_PARAMETER_NAME: usize = 64;
/// The longest description of a parameter, in characters.
pub const MAX_PARAMETER_DESCRIPTION: usize = 500;
/// The longest text that is a parameter's value, in characters.
pub const MAX_PARAMETER_TEXT: usize = 4096;
/// Names that mean something else: to templates, or to the JavaScript that clients read parameters with.
const RESERVED_NAMES: [&str; 5] = ["params", "secrets", "__proto__", "constructor", "prototype"];

/// A parameter that a scenario declares: its text may read it as `{{ name }}`, and templates of targets as
/// `{{ params.name }}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = also_called("defaultValue", "default"))]
pub struct ParameterDefinition {
    /// Its name: a letter or `_`, then letters, digits and `_`.
    #[schemars(length(min = 1, max = MAX_PARAMETER_NAME), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PARAMETER_DESCRIPTION))]
    pub description: Option<String>,
    /// Its value where a request gives none: a text, a number, or true or false.
    #[serde(default, alias = "default", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = ["string", "number", "boolean", "null"], "maxLength" = MAX_PARAMETER_TEXT))]
    pub default_value: Option<Value>,
    /// Its value is a secret: only a target's `{{ secrets.name }}` reads it, and no definition holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl ParameterDefinition {
    /// What is wrong with it, each with the field that it is in.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let described = self.description.as_deref().map_or(0, |text| text.chars().count());
        let too_long = (described > MAX_PARAMETER_DESCRIPTION)
            .then(|| format!("has {described} characters; it may have at most {MAX_PARAMETER_DESCRIPTION}"));
        [
            ("name", name_problem(&self.name)),
            ("description", too_long),
            ("defaultValue", self.default_problem()),
        ]
        .into_iter()
        .filter_map(|(field, problem)| Some((field, problem?)))
        .collect()
    }

    fn default_problem(&self) -> Option<String> {
        let default = self.default_value.as_ref()?;
        if self.secret {
            return Some("cannot be given: the value of a secret comes with each request".to_owned());
        }
        parameter_value_problem(default)
    }
}

fn name_problem(name: &str) -> Option<String> {
    if RESERVED_NAMES.contains(&name) {
        return Some(format!("cannot be '{name}', which means something else to templates or clients"));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = (1..=MAX_PARAMETER_NAME).contains(&name.len());
    let is_name = fits && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    (!is_name).then(|| {
        format!("must be a letter or `_`, then letters, digits and `_`: at most {MAX_PARAMETER_NAME} in all")
    })
}

/// Why `value` cannot be a parameter's, if it cannot. It never repeats the value, which may be a secret.
#[must_use]
pub fn parameter_value_problem(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => None,
        Value::String(text) => {
            let length = text.chars().count();
            (length > MAX_PARAMETER_TEXT)
                .then(|| format!("has {length} characters; it may have at most {MAX_PARAMETER_TEXT}"))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Some("must be a text, a number, or true or false".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(definition: Value) -> Vec<String> {
        let definition: ParameterDefinition = serde_json::from_value(definition).unwrap();
        definition.problems().into_iter().map(|(field, reason)| format!("{field} {reason}")).collect()
    }

    #[test]
    fn a_name_is_a_word_that_means_nothing_else() {
        for good in ["a", "_", "order_id2", &"x".repeat(MAX_PARAMETER_NAME)] {
            assert_eq!(problems(json!({ "name": good })), [""; 0], "{good}");
        }
        let long = "x".repeat(MAX_PARAMETER_NAME + 1);
        for bad in ["", "2a", "a-b", "a b", "größe", "params", "secrets", "__proto__", &long] {
            assert!(problems(json!({ "name": bad }))[0].starts_with("name "), "{bad} was accepted");
        }
    }

    #[test]
    fn a_default_is_a_plain_value_and_a_secret_has_none() {
        let longest = "ü".repeat(MAX_PARAMETER_TEXT);
        for good in [json!("eu"), json!(5), json!(0.5), json!(false), json!(longest)] {
            assert_eq!(problems(json!({ "name": "a", "default": good })), [""; 0]);
        }
        for bad in [json!([1]), json!({}), json!(longest.clone() + "x")] {
            assert!(problems(json!({ "name": "a", "defaultValue": bad }))[0].starts_with("defaultValue "));
        }
        let secret = problems(json!({ "name": "a", "secret": true, "default": "hunter2" }));
        assert!(secret[0].starts_with("defaultValue cannot be given") && !secret[0].contains("hunter2"));
    }
}
