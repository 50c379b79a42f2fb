//! The parameters of a run: what its scenario leaves open, from what its request gives.
//!
//! A scenario that declares none takes whatever the request gives, and its texts are no templates.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::{RunFailure, code};
use super::ports::{TextProblem, TextTemplates, TextValues};
use crate::definitions::{ParameterDefinition, Scenario, Secret, Secrets, parameter_value_problem};
use crate::text::cut;

/// The most parameters that a request may give.
pub const MAX_SUPPLIED: usize = 50;
/// The most bytes that all parameters of a request may have together, as JSON.
pub const MAX_SUPPLIED_BYTES: usize = 16_384;
/// The most of a list of names that a message shows, in bytes: a request chooses its names.
const SHOWN_NAMES: usize = 512;

/// The plain parameters of a run: what the request gives, else the default, else none.
///
/// # Errors
/// A failure with reason `scenario_parameter_invalid`, `scenario_parameter_unknown` or
/// `scenario_secret_parameter_conflict`.
pub fn plain(scenario: &Scenario, supplied: &Map<String, Value>) -> Result<Map<String, Value>, RunFailure> {
    if scenario.parameters.is_empty() {
        return Ok(supplied.clone());
    }
    check_limits(supplied)?;
    check_known(scenario, supplied)?;
    check_conflicts(scenario)?;
    let declared = scenario.parameters.iter().filter(|parameter| !parameter.secret);
    let valued = declared.filter_map(|parameter| {
        let value = given(supplied, &parameter.name).or(parameter.default_value.as_ref())?;
        Some((parameter.name.clone(), value.clone()))
    });
    Ok(valued.collect())
}

/// The secret parameters of a run. No other place has their values, so they are taken from the request on every delivery.
///
/// # Errors
/// A failure with reason `scenario_secret_parameter_missing` or `scenario_parameter_invalid`.
pub fn secrets(scenario: &Scenario, supplied: &Map<String, Value>) -> Result<Secrets, RunFailure> {
    let is_missing = |parameter: &&ParameterDefinition| !is_given(parameter, supplied);
    let missing: Vec<&str> =
        secret_ones(scenario).filter(is_missing).map(|parameter| parameter.name.as_str()).collect();
    if !missing.is_empty() {
        let message =
            format!("Scenario {} needs the secret parameter {}", scenario.id, shown(missing.into_iter()));
        return Err(RunFailure::definition(code::SECRET_PARAMETER_MISSING, message)
            .with_hint("Give its value in the request's `parameters`; no definition holds it."));
    }
    given_secrets(scenario, supplied)
}

/// The secret parameters that the request gives: a run in which nobody is asked needs none.
///
/// # Errors
/// A failure with reason `scenario_parameter_invalid`.
pub fn given_secrets(scenario: &Scenario, supplied: &Map<String, Value>) -> Result<Secrets, RunFailure> {
    let given = secret_ones(scenario).filter(|parameter| is_given(parameter, supplied));
    given.map(|parameter| secret(&parameter.name, supplied)).collect()
}

fn secret_ones(scenario: &Scenario) -> impl Iterator<Item = &ParameterDefinition> {
    scenario.parameters.iter().filter(|parameter| parameter.secret)
}

fn is_given(parameter: &ParameterDefinition, supplied: &Map<String, Value>) -> bool {
    given(supplied, &parameter.name).is_some_and(|value| value.as_str() != Some(""))
}

fn secret(name: &str, supplied: &Map<String, Value>) -> Result<(String, Secret), RunFailure> {
    match given(supplied, name) {
        Some(Value::String(value)) => Ok((name.to_owned(), Secret::new(value.as_str()))),
        _ => Err(invalid(format!("The secret parameter '{name}' must be a text; put it in quotes"))),
    }
}

/// A parameter that is null is one that is not given.
fn given<'a>(supplied: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    supplied.get(name).filter(|value| !value.is_null())
}

fn check_limits(supplied: &Map<String, Value>) -> Result<(), RunFailure> {
    if supplied.len() > MAX_SUPPLIED {
        let count = supplied.len();
        return Err(invalid(format!(
            "The request gives {count} parameters; at most {MAX_SUPPLIED} are taken"
        )));
    }
    let bytes = serde_json::to_vec(supplied).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_SUPPLIED_BYTES {
        return Err(invalid(format!(
            "The request's parameters have {bytes} bytes as JSON; at most {MAX_SUPPLIED_BYTES} are taken"
        )));
    }
    let problem = |(name, value)| Some((name, parameter_value_problem(value)?));
    match supplied.iter().filter(|(_, value)| !value.is_null()).find_map(problem) {
        Some((name, problem)) => {
            Err(invalid(format!("The parameter {} {problem}", shown([name.as_str()].into_iter()))))
        }
        None => Ok(()),
    }
}

fn check_known(scenario: &Scenario, supplied: &Map<String, Value>) -> Result<(), RunFailure> {
    let declared = |name: &str| scenario.parameters.iter().any(|parameter| parameter.name == name);
    let unknown: Vec<&str> = supplied.keys().map(String::as_str).filter(|name| !declared(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Scenario {} has no parameter {}; it declares {}",
        scenario.id,
        shown(unknown.into_iter()),
        declared_names(scenario)
    );
    Err(RunFailure::definition(code::PARAMETER_UNKNOWN, message))
}

/// A definition shows a default, and what a plain parameter of the same name is.
fn check_conflicts(scenario: &Scenario) -> Result<(), RunFailure> {
    let twice = |secret: &ParameterDefinition| {
        scenario.parameters.iter().any(|other| !other.secret && other.name == secret.name)
    };
    let mut secrets = scenario.parameters.iter().filter(|parameter| parameter.secret);
    let Some(conflict) = secrets.find(|secret| secret.default_value.is_some() || twice(secret)) else {
        return Ok(());
    };
    let message = format!(
        "Scenario {} declares '{}' as a secret and also as a plain parameter or with a default",
        scenario.id, conflict.name
    );
    Err(RunFailure::definition(code::SECRET_PARAMETER_CONFLICT, message))
}

fn invalid(message: String) -> RunFailure {
    RunFailure::definition(code::PARAMETER_INVALID, message)
}

fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("'{}'", name.escape_debug())).collect();
    cut(&quoted.join(", "), SHOWN_NAMES)
}

fn declared_names(scenario: &Scenario) -> String {
    shown(scenario.parameters.iter().map(|parameter| parameter.name.as_str()))
}

/// The scenario with its parameters in every text that is played: situation, criteria, script and checks.
///
/// # Errors
/// A failure with reason `scenario_parameter_missing`, `scenario_parameter_template_invalid` or
/// `scenario_secret_parameter_in_text`; its message names the scenario's field.
pub fn fill_in(
    scenario: Scenario,
    plain: &Map<String, Value>,
    texts: &dyn TextTemplates,
) -> Result<Scenario, RunFailure> {
    if scenario.parameters.is_empty() {
        return Ok(scenario);
    }
    let declared = scenario.parameters.iter().filter(|parameter| parameter.secret);
    let secrets: Vec<&str> = declared.map(|parameter| parameter.name.as_str()).collect();
    let filler = Filler { scenario: &scenario, values: TextValues { plain, secrets: &secrets }, texts };
    let situation = filler.text("situation", &scenario.situation)?;
    let criteria = filler.criteria()?;
    let (script, checks) =
        (filler.each("script", &scenario.script)?, filler.each("checks", &scenario.checks)?);
    Ok(Scenario { situation, criteria, script, checks, ..scenario })
}

/// Fills in the texts of one scenario.
struct Filler<'a> {
    scenario: &'a Scenario,
    values: TextValues<'a>,
    texts: &'a dyn TextTemplates,
}

impl Filler<'_> {
    /// A criterion that says nothing could not be judged.
    fn criteria(&self) -> Result<Vec<String>, RunFailure> {
        let criteria: Vec<String> = self.each("criteria", &self.scenario.criteria)?;
        match criteria.iter().position(|criterion| criterion.trim().is_empty()) {
            Some(blank) => {
                Err(self.unusable(&format!("criteria[{blank}]"), "it says nothing once it is filled in"))
            }
            None => Ok(criteria),
        }
    }

    fn each<T: Serialize + DeserializeOwned>(&self, list: &str, items: &[T]) -> Result<Vec<T>, RunFailure> {
        let fill = |(index, item)| self.item(&format!("{list}[{index}]"), item);
        items.iter().enumerate().map(fill).collect()
    }

    /// Fills in every text of `item`, whatever its shape, and reads it again: a value stays inside its text.
    fn item<T: Serialize + DeserializeOwned>(&self, field: &str, item: &T) -> Result<T, RunFailure> {
        let unreadable = |error: serde_json::Error| self.unusable(field, &error.to_string());
        let mut written = serde_json::to_value(item).map_err(unreadable)?;
        self.texts_of(field, &mut written)?;
        serde_json::from_value(written).map_err(unreadable)
    }

    fn texts_of(&self, field: &str, value: &mut Value) -> Result<(), RunFailure> {
        match value {
            Value::String(text) => *text = self.text(field, text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.texts_of(field, item))?,
            Value::Object(entries) => entries.values_mut().try_for_each(|item| self.texts_of(field, item))?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    fn text(&self, field: &str, text: &str) -> Result<String, RunFailure> {
        self.texts.fill_in(text, self.values).map_err(|problem| match problem {
            TextProblem::Missing(names) => self.missing(field, &names),
            TextProblem::Secret(names) => self.reads_secret(field, &names),
            TextProblem::Invalid(cause) => self.unusable(field, &cause),
        })
    }

    fn missing(&self, field: &str, names: &[String]) -> RunFailure {
        let message = format!(
            "Scenario {}: {field} reads {}, which has no value; the scenario declares {}",
            self.scenario.id,
            shown(names.iter().map(String::as_str)),
            declared_names(self.scenario)
        );
        RunFailure::definition(code::PARAMETER_MISSING, message)
            .with_hint("Give it in the request's `parameters`, or a `defaultValue` in the scenario.")
    }

    fn reads_secret(&self, field: &str, names: &[String]) -> RunFailure {
        let names = shown(names.iter().map(String::as_str));
        let message = format!("Scenario {}: {field} reads the secret {names}", self.scenario.id);
        RunFailure::definition(code::SECRET_PARAMETER_IN_TEXT, message)
            .with_hint("Models and events see this text; only a target's definition may read secrets.")
    }

    fn unusable(&self, field: &str, cause: &str) -> RunFailure {
        let message = format!("Scenario {}: {field} cannot be filled in: {cause}", self.scenario.id);
        RunFailure::definition(code::PARAMETER_TEMPLATE_INVALID, message)
    }
}
