//! Rules of what a scenario leaves open.

use std::collections::BTreeSet;

use serde_json::Value;

use super::at_most_chars;
use crate::definitions::ParameterDefinition;
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The most parameters of a scenario.
const MAX_PARAMETERS: usize = 20;
/// The longest name of a parameter, in characters.
const MAX_NAME_CHARS: usize = 64;
/// The longest description of a parameter, in characters.
const MAX_DESCRIPTION_CHARS: usize = 500;
/// The longest text that a parameter can be, in characters.
const MAX_TEXT_CHARS: usize = 4096;
/// Names that mean something else to programs in JavaScript, which read what runs report.
const RESERVED_NAMES: [&str; 3] = ["__proto__", "constructor", "prototype"];

pub(super) fn parameters(reader: &mut Reader<'_>, field: &Field<'_>, parameters: &[ParameterDefinition]) {
    if parameters.len() > MAX_PARAMETERS {
        let reason = format!("has {} parameters; a scenario can have {MAX_PARAMETERS}", parameters.len());
        reader.report(field, reason);
    }
    let mut names = BTreeSet::new();
    for (index, definition) in parameters.iter().enumerate() {
        let field = field.item(index);
        parameter(reader, &field, definition);
        if !names.insert(&definition.name) {
            let reason = format!("'{}' is the name of an earlier parameter", definition.name);
            reader.report(&field.at("name"), reason);
        }
    }
}

fn parameter(reader: &mut Reader<'_>, field: &Field<'_>, definition: &ParameterDefinition) {
    name(reader, &field.at("name"), &definition.name);
    if let Some(description) = &definition.description {
        at_most_chars(reader, &field.at("description"), description, MAX_DESCRIPTION_CHARS);
    }
    if let Some(value) = &definition.default_value {
        let written = field.get("defaultValue").unwrap_or_else(|| field.at("default"));
        default_value(reader, &written, definition, value);
    }
}

fn name(reader: &mut Reader<'_>, field: &Field<'_>, name: &str) {
    let begins_well = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    let goes_on_well = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    if !begins_well || !goes_on_well || name.len() > MAX_NAME_CHARS {
        let reason = format!(
            "must be a letter or `_`, then letters, digits and `_`, {MAX_NAME_CHARS} characters at most"
        );
        reader.report(field, reason);
    }
    if RESERVED_NAMES.contains(&name) {
        reader.report(field, format!("'{name}' is reserved"));
    }
}

/// The value is not repeated: it may be a secret in the wrong place.
fn default_value(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    definition: &ParameterDefinition,
    value: &Value,
) {
    if definition.secret {
        reader.report(field, "a secret parameter has no default: every request gives its value");
        return;
    }
    match value {
        Value::String(text) => at_most_chars(reader, field, text, MAX_TEXT_CHARS),
        Value::Number(_) | Value::Bool(_) => {}
        Value::Null | Value::Array(_) | Value::Object(_) => {
            reader.report(field, "must be a text, a number, or true or false");
        }
    }
}
