//! Rules of texts that parameters and facts of a run are filled into.

use serde_json::{Map, Value};

use crate::definitions::{ParameterDefinition, Prompt, variable_name_problem};
use crate::execution::ports::{TextProblem, TextValues};
use crate::store::files::field::Field;
use crate::store::files::node::Content;
use crate::store::files::reader::Reader;

/// The fields of a scenario that are filled in before it is played.
const FILLED_IN: [&str; 4] = ["situation", "criteria", "script", "checks"];

/// The texts of a scenario that has parameters; those of another are no templates.
pub(super) fn scenario(reader: &mut Reader<'_>, field: &Field<'_>, parameters: &[ParameterDefinition]) {
    if parameters.is_empty() {
        return;
    }
    let (secret, plain): (Vec<_>, Vec<_>) = parameters.iter().partition(|parameter| parameter.secret);
    let value = |parameter: &ParameterDefinition| parameter.default_value.clone().unwrap_or(Value::Null);
    let plain: Map<_, _> = plain.iter().map(|parameter| (parameter.name.clone(), value(parameter))).collect();
    let secrets: Vec<&str> = secret.iter().map(|parameter| parameter.name.as_str()).collect();
    for filled_in in FILLED_IN.iter().filter_map(|key| field.get(key)) {
        texts(reader, &filled_in, TextValues { plain: &plain, secrets: &secrets });
    }
}

/// Every text at `field` and below.
fn texts(reader: &mut Reader<'_>, field: &Field<'_>, values: TextValues<'_>) {
    match &field.node.content {
        Content::Scalar(Value::String(text)) => {
            let found = reader.surroundings.texts.map(|texts| texts.check(text, values));
            if let Some(Err(problem)) = found {
                reader.report(field, in_words(&problem, values));
            }
        }
        Content::Scalar(_) => {}
        Content::List(items) => {
            for index in 0..items.len() {
                texts(reader, &field.item(index), values);
            }
        }
        Content::Mapping(entries) => {
            for (key, _) in entries {
                texts(reader, &field.at(&key.name), values);
            }
        }
    }
}

fn in_words(problem: &TextProblem, values: TextValues<'_>) -> String {
    let quoted =
        |names: &[String]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match problem {
        TextProblem::Missing(names) => {
            let declared: Vec<String> = values.plain.keys().cloned().collect();
            format!("reads {}, which is no parameter; there is {}", quoted(names), quoted(&declared))
        }
        TextProblem::Secret(names) => {
            let names = quoted(names);
            format!(
                "reads the secret {names}: models see this text, so only a target's definition may read secrets"
            )
        }
        TextProblem::Invalid(cause) => format!("is no template that can be filled in: {cause}"),
    }
}

/// The templates of a prompt, and the variables that it gives them.
pub(super) fn prompt(reader: &mut Reader<'_>, field: &Field<'_>, prompt: &Prompt) {
    template(reader, &field.at("systemPrompt"), &prompt.system_prompt);
    for (index, message) in prompt.messages.iter().enumerate() {
        template(reader, &field.at("messages").item(index).at("content"), &message.content);
    }
    let mappings = field.at("fieldMappings");
    for name in prompt.field_mappings.keys() {
        if let Some(problem) = variable_name_problem(name) {
            reader.report(&mappings.key(name), problem);
        }
    }
}

fn template(reader: &mut Reader<'_>, field: &Field<'_>, text: &str) {
    if let Some(Err(cause)) = reader.surroundings.texts.map(|texts| texts.check_prompt(text)) {
        reader.report(field, format!("is no template that can be used: {cause}"));
    }
}
