//! One axis of `--matrix`: what varies, and through which values.

use serde_json::Value;

use crate::cli::arguments::{parse_scenario, parse_target};
use crate::events::{JudgeModels, ScenarioId, TargetRef};

/// How an axis is written.
const FORM: &str = "an axis is written NAME=VALUE,VALUE or NAME=[JSON, JSON]";
/// What a list in JSON begins with.
const LIST: char = '[';
/// Names of axes that are no parameters.
const SCENARIO: &str = "scenario";
const TARGET: &str = "target";
const JUDGE: &str = "judge";
const USER_SIMULATOR: &str = "user-simulator";
/// What a parameter begins with that is called as one of these.
const PARAMETER_PREFIX: &str = "param.";

/// What one value of an axis means for a run.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Choice {
    /// Which scenario is played.
    Scenario(ScenarioId),
    /// Who is under test.
    Target(TargetRef),
    /// Who judges.
    Judge(JudgeModels),
    /// Who plays the customer.
    UserSimulator(String),
    /// The value of a parameter.
    Parameter(String, Value),
}

/// What varies.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Axis {
    /// Its name, as it was given.
    pub(in crate::cli) name: String,
    /// Its values, as they are shown and as they are meant; at least one, each once.
    pub(in crate::cli) choices: Vec<(String, Choice)>,
}

/// Reads an axis from the command line.
pub(in crate::cli) fn parse_axis(text: &str) -> Result<Axis, String> {
    let (name, values) = text.split_once('=').ok_or(FORM)?;
    let name = name.trim();
    let values = values_of(values).map_err(|error| {
        format!("the values of the axis {name} begin with '{LIST}' and are no JSON list ({error}); {FORM}")
    })?;
    if name.is_empty() || values.is_empty() {
        return Err(FORM.to_owned());
    }
    let choices: Result<Vec<_>, String> =
        values.into_iter().map(|value| Ok((shown(&value), choice(name, value)?))).collect();
    let choices = choices?;
    if let Some(twice) = first_twice(&choices) {
        return Err(format!("'{twice}' is there twice; for more runs of each value use --repeat"));
    }
    Ok(Axis { name: name.to_owned(), choices })
}

/// A JSON list, or texts between commas, each of which may be JSON.
fn values_of(text: &str) -> Result<Vec<Value>, serde_json::Error> {
    if text.trim_start().starts_with(LIST) {
        return serde_json::from_str(text);
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Ok(parts.map(|part| serde_json::from_str(part).unwrap_or_else(|_| Value::from(part))).collect())
}

fn choice(name: &str, value: Value) -> Result<Choice, String> {
    match name {
        SCENARIO => Ok(Choice::Scenario(parse_scenario(&text(value)?)?)),
        TARGET => Ok(Choice::Target(parse_target(&text(value)?)?)),
        USER_SIMULATOR => Ok(Choice::UserSimulator(text(value)?)),
        JUDGE => {
            let judge = serde_json::from_value(value);
            judge.map(Choice::Judge).map_err(|error| format!("a judge is a model or a list of them: {error}"))
        }
        name => {
            let parameter = name.strip_prefix(PARAMETER_PREFIX).unwrap_or(name);
            Ok(Choice::Parameter(parameter.to_owned(), value))
        }
    }
}

/// An id may look like a number.
fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => Err(format!("{value} is no name")),
        other => Ok(other.to_string()),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn first_twice(choices: &[(String, Choice)]) -> Option<&str> {
    let is_earlier = |at: usize| choices[..at].iter().any(|(_, choice)| *choice == choices[at].1);
    (0..choices.len()).find(|at| is_earlier(*at)).map(|at| choices[at].0.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(text: &str) -> Vec<Value> {
        let value = |(_, choice)| match choice {
            Choice::Parameter(_, value) => value,
            other => panic!("{other:?} is no parameter"),
        };
        parse_axis(text).unwrap().choices.into_iter().map(value).collect()
    }

    #[test]
    fn values_stand_between_commas_or_are_a_list_in_json() {
        assert_eq!(parameters("region=eu, us,"), [json!("eu"), json!("us")]);
        assert_eq!(parameters("size=1,true,\"2\""), [json!(1), json!(true), json!("2")]);
        assert_eq!(parameters(r#"region=["a,b", {"c": 1}]"#), [json!("a,b"), json!({"c": 1})]);
        assert_eq!(parameters("param.target=x"), [json!("x")]);
    }

    #[test]
    fn scenarios_targets_and_models_are_no_parameters() {
        let choices = |text| parse_axis(text).unwrap().choices.into_iter().map(|(_, choice)| choice);
        assert!(choices("scenario=a,12").all(|choice| matches!(choice, Choice::Scenario(_))));
        assert!(choices("target=http:a,prompt:b").all(|choice| matches!(choice, Choice::Target(_))));
        assert!(choices("user-simulator=o/x").all(|choice| matches!(choice, Choice::UserSimulator(_))));
        let judges: Vec<Choice> = choices(r#"judge=[["o/x", "o/y"], "o/z"]"#).collect();
        let panel = JudgeModels::try_from(vec!["o/x".to_owned(), "o/y".to_owned()]).unwrap();
        assert_eq!(judges, [Choice::Judge(panel), Choice::Judge(JudgeModels::one("o/z"))]);
    }

    #[test]
    fn an_axis_without_values_or_with_one_twice_is_refused() {
        for (text, part) in [
            ("region", "NAME=VALUE"),
            ("region=", "NAME=VALUE"),
            ("=eu", "NAME=VALUE"),
            ("region=eu,us,eu", "'eu' is there twice"),
            ("target=shop", "TYPE:ID"),
            ("region=[1,2", "the values of the axis region begin with '['"),
            ("region=[1],[2]", "are no JSON list"),
            ("judge=[[]]", "name 1 to 9"),
        ] {
            let error = parse_axis(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
