//! What must hold of definitions beyond their shape.

use url::Url;

use super::field::Field;
use super::reader::Reader;
use crate::definitions::{MAX_PARAMETERS, ParameterDefinition, Project, Prompt, Provider, Scenario};
use crate::events::{JudgeModels, MAX_ID_CHARS, MAX_TURNS_LIMIT};
use crate::execution::types::ModelName;

/// The highest temperature that any provider takes.
const MAX_TEMPERATURE: f64 = 2.0;

/// An id that is no token of a subject.
pub(super) fn id(reader: &mut Reader<'_>, field: &Field<'_>, id: &str) {
    if id.is_empty() || id.chars().count() > MAX_ID_CHARS || id.chars().any(char::is_control) {
        let reason = format!("must have 1 to {MAX_ID_CHARS} characters, none of them a control character");
        reader.report(field, reason);
    }
}

pub(super) fn project(reader: &mut Reader<'_>, field: &Field<'_>, project: &Project) {
    model(reader, &field.at("defaultModel"), project.default_model.as_deref());
    if let Some(telemetry) = &project.telemetry {
        web_address(reader, &field.at("telemetry").at("endpoint"), &telemetry.endpoint);
    }
}

pub(super) fn provider(reader: &mut Reader<'_>, field: &Field<'_>, provider: &Provider) {
    id(reader, &field.at("id"), &provider.id);
    if provider.id.contains('/') || provider.id.trim().is_empty() {
        reader.report(&field.at("id"), "must be what comes before the first slash of a model's name");
    }
    if let Some(url) = &provider.base_url {
        web_address(reader, &field.at("baseUrl"), url);
    }
    at_least_one(reader, &field.at("timeoutSeconds"), provider.timeout_seconds);
}

pub(super) fn prompt(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    id(reader, &field.at("id"), &prompt.id);
    model(reader, &field.at("model"), prompt.model.as_deref());
    at_least_one(reader, &field.at("maxTokens"), prompt.max_tokens.map(u64::from));
    match prompt.temperature {
        Some(value) if !(0.0..=MAX_TEMPERATURE).contains(&value) => {
            reader.report(&field.at("temperature"), format!("is {value}; it must be 0 to {MAX_TEMPERATURE}"));
        }
        _ => {}
    }
}

pub(super) fn scenario(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    criteria(reader, &field.at("criteria"), scenario);
    parameters(reader, &field.at("parameters"), &scenario.parameters);
    turns(reader, &field.at("maxTurns"), scenario.max_turns, 1, MAX_TURNS_LIMIT);
    let most = scenario.max_turns.unwrap_or(MAX_TURNS_LIMIT);
    turns(reader, &field.at("minTurns"), scenario.min_turns, 0, most);
    let models = field.at("models");
    model(reader, &models.at("userSimulator"), scenario.models.user_simulator.as_deref());
    for name in scenario.models.judge.iter().flat_map(JudgeModels::names) {
        model(reader, &models.at("judge"), Some(name));
    }
}

fn criteria(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    let Scenario { criteria, checks, script, .. } = scenario;
    if criteria.is_empty() && checks.is_empty() && script.is_empty() {
        reader.report(field, "must have at least one criterion: a run without any could not be judged");
    }
    for (index, _) in criteria.iter().enumerate().filter(|(_, text)| text.trim().is_empty()) {
        reader.report(&field.item(index), "must have a text");
    }
}

fn parameters(reader: &mut Reader<'_>, field: &Field<'_>, parameters: &[ParameterDefinition]) {
    if parameters.len() > MAX_PARAMETERS {
        reader.report(field, format!("has {}; it may have at most {MAX_PARAMETERS}", parameters.len()));
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let item = field.item(index);
        for (part, reason) in parameter.problems() {
            reader.report(&item.at(part), reason);
        }
        if parameters[..index].iter().any(|earlier| earlier.name == parameter.name) {
            reader.report(&item.at("name"), format!("'{}' is declared twice", parameter.name));
        }
    }
}

fn turns(reader: &mut Reader<'_>, field: &Field<'_>, value: Option<u32>, least: u32, most: u32) {
    match value {
        Some(value) if value < least || value > most => {
            reader.report(field, format!("is {value}; it must be {least} to {most}"));
        }
        _ => {}
    }
}

fn at_least_one(reader: &mut Reader<'_>, field: &Field<'_>, value: Option<u64>) {
    if value == Some(0) {
        reader.report(field, "is 0; it must be at least 1");
    }
}

fn model(reader: &mut Reader<'_>, field: &Field<'_>, name: Option<&str>) {
    if let Some(Err(error)) = name.map(ModelName::parse) {
        reader.report(field, error.to_string());
    }
}

/// The value is not repeated: a URL may hold a password.
fn web_address(reader: &mut Reader<'_>, field: &Field<'_>, url: &str) {
    match Url::parse(url) {
        Ok(parsed) if ["http", "https"].contains(&parsed.scheme()) && parsed.has_host() => {}
        Ok(_) => reader.report(field, "must be an http:// or https:// URL"),
        Err(error) => reader.report(field, format!("is not a URL: {error}")),
    }
}
