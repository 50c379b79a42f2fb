//! JSON of a definition in which texts are templates.
//!
//! Each text is a template of its own, so whatever a run puts in, the JSON around it keeps its form.

use serde_json::{Map, Value};

use super::{Escape, Place, SecretText, Template, TemplateError, Variables};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// A value with places to fill in.
pub(crate) enum JsonTemplate {
    /// As it is written.
    Constant(Value),
    /// A text with values in it.
    Text(Box<Template>),
    /// Exactly one expression: a text becomes a text, anything else stays what it is.
    Value(Box<Template>),
    List(Vec<JsonTemplate>),
    Map(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// Reads `value`, which is written at `place`.
    pub(crate) fn compile(place: &str, value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::text(place, text),
            Value::Array(items) => {
                let item = |(index, item)| Self::compile(&format!("{place}[{index}]"), item);
                Ok(Self::List(items.iter().enumerate().map(item).collect::<Result<_, _>>()?))
            }
            Value::Object(entries) => {
                let entry = |(name, value): (&String, &Value)| {
                    Ok((name.clone(), Self::compile(&format!("{place}.{name}"), value)?))
                };
                Ok(Self::Map(entries.iter().map(entry).collect::<Result<_, String>>()?))
            }
            other => Ok(Self::Constant(other.clone())),
        }
    }

    fn text(place: &str, text: &str) -> Result<Self, String> {
        no_secrets(place, text)?;
        let escape = if is_one_expression(text) { Escape::Json } else { Escape::Text };
        let template = Template::compile(Place::Field(place.to_owned()), text, escape);
        let template = Box::new(template.map_err(|error| error.to_string())?);
        Ok(if escape == Escape::Json { Self::Value(template) } else { Self::Text(template) })
    }

    /// The value with everything filled in.
    pub(crate) fn render(&self, variables: &Variables) -> Result<Value, TemplateError> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(template) => Value::String(template.render(variables)?),
            Self::Value(template) => {
                let text = template.render(variables)?;
                // What has no value, or is no JSON by itself, is a text.
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
            Self::List(items) => items.iter().map(|item| item.render(variables)).collect::<Result<_, _>>()?,
            Self::Map(entries) => {
                let entry = |(name, value): &(String, Self)| Ok((name.clone(), value.render(variables)?));
                Value::Object(entries.iter().map(entry).collect::<Result<Map<_, _>, TemplateError>>()?)
            }
        })
    }
}

/// A template of a body must not name secrets: they have their places in URL, headers and authentication.
pub(crate) fn no_secrets(place: &str, text: &str) -> Result<(), String> {
    if SecretText::new(text).is_plain() {
        return Ok(());
    }
    Err(format!("{place}: a secret can be used in url, headers and auth only"))
}

fn is_one_expression(text: &str) -> bool {
    let inside = text.trim().strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE));
    inside.is_some_and(|inside| !inside.contains(OPEN) && !inside.contains(CLOSE))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &Value, line: &str) -> Value {
        let mut variables = Variables::none();
        variables.bind("input", line);
        variables.bind_json("days", &json!(30));
        variables.bind_json("list", &json!([1, { "a": null }]));
        JsonTemplate::compile("arguments", template).unwrap().render(&variables).unwrap()
    }

    #[test]
    fn whatever_was_said_stays_the_text_of_its_place() {
        for line in ["30", "null", "{\"a\":1}", "\"", "a\\", "{{ days }}", "line\nbreak", ""] {
            let value = rendered(&json!({ "one": "{{ input }}", "in": ["a {{ input }} b"] }), line);
            assert_eq!(value, json!({ "one": line, "in": [format!("a {line} b")] }));
        }
    }

    #[test]
    fn an_expression_that_is_all_of_a_text_keeps_its_type() {
        let template = json!({ "days": "{{ days }}", "list": " {{ list }} ", "text": "in {{ days }} days", "n": 1, "t": true });
        let expected =
            json!({ "days": 30, "list": [1, { "a": null }], "text": "in 30 days", "n": 1, "t": true });
        assert_eq!(rendered(&template, ""), expected);
    }

    #[test]
    fn secrets_and_broken_templates_are_refused_with_their_place() {
        let problem = |value| JsonTemplate::compile("arguments", &value).err().unwrap();
        let secret = problem(json!({ "a": ["{{ secrets.KEY }}"] }));
        assert_eq!(secret, "arguments.a[0]: a secret can be used in url, headers and auth only");
        assert!(problem(json!({ "a": "{{ input" })).contains("arguments.a"));
    }
}
