//! JSON Schema as far as providers enforce it.
//!
//! Specifications: <https://platform.openai.com/docs/guides/structured-outputs#supported-schemas> and
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>.

use serde_json::{Map, Value, json};

/// The keywords that every provider takes. Others, such as `minLength`, are refused by some, so they are left out:
/// whoever reads the answer looks at its values anyway.
const KEYWORDS: [&str; 12] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "items",
    "properties",
    "required",
    "title",
    "type",
];

/// `schema` in the subset: objects are closed and all their properties required, where one that was optional may be
/// null instead.
pub(super) fn fit(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let known = schema.iter().filter(|(keyword, _)| KEYWORDS.contains(&keyword.as_str()));
    let mut fitted: Map<String, Value> =
        known.map(|(keyword, value)| (keyword.clone(), fit_keyword(keyword, value))).collect();
    if describes_object(schema) {
        close(&mut fitted);
    }
    Value::Object(fitted)
}

fn fit_keyword(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties" | "$defs", Value::Object(named)) => {
            named.iter().map(|(name, schema)| (name.clone(), fit(schema))).collect()
        }
        ("anyOf", Value::Array(schemas)) => schemas.iter().map(fit).collect(),
        ("items", schema) => fit(schema),
        _ => value.clone(),
    }
}

fn describes_object(schema: &Map<String, Value>) -> bool {
    let object = json!("object");
    match schema.get("type") {
        Some(Value::Array(types)) => types.contains(&object),
        Some(kind) => *kind == object,
        None => schema.contains_key("properties"),
    }
}

fn close(object: &mut Map<String, Value>) {
    let required = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut properties = object.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, schema) in &mut properties {
        if !required.contains(&json!(name)) {
            *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] });
        }
    }
    let names: Vec<&String> = properties.keys().collect();
    object.insert("required".to_owned(), json!(names));
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_fits_stays_as_it_is() {
        let schema = json!({
            "type": "object",
            "properties": {
                "evidence": { "type": "array", "items": {
                    "type": "object",
                    "properties": { "message": { "type": "integer" } },
                    "required": ["message"],
                    "additionalProperties": false,
                }},
                "status": { "type": "string", "enum": ["met", "unmet"], "description": "How it stands." },
            },
            "required": ["evidence", "status"],
            "additionalProperties": false,
        });
        assert_eq!(fit(&schema), schema);
    }

    #[test]
    fn an_open_object_is_closed_and_what_was_optional_may_be_null() {
        let fitted =
            fit(&json!({ "properties": { "n": { "type": "integer" }, "m": {} }, "required": ["m"] }));
        assert_eq!(
            fitted,
            json!({
                "properties": { "n": { "anyOf": [{ "type": "integer" }, { "type": "null" }] }, "m": {} },
                "required": ["n", "m"],
                "additionalProperties": false,
            })
        );
        let empty = json!({ "type": ["object", "null"], "required": [], "properties": {}, "additionalProperties": false });
        assert_eq!(fit(&json!({ "type": ["object", "null"], "additionalProperties": true })), empty);
    }

    #[test]
    fn keywords_that_some_provider_refuses_are_left_out_and_names_are_not_keywords() {
        let named = json!({
            "type": "object",
            "properties": { "maxItems": { "type": "array", "maxItems": 3, "items": { "type": "string", "minLength": 1 } } },
            "required": ["maxItems"],
        });
        let property = &fit(&named)["properties"]["maxItems"];
        assert_eq!(*property, json!({ "type": "array", "items": { "type": "string" } }));
    }
}
