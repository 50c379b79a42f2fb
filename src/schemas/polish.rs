//! What is made better about every schema that a type has.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::{Map, Value};

/// Names that mean nothing to validators give way to the bounds that they stand for.
pub(super) fn known_formats(schema: &mut Schema) {
    transform_subschemas(&mut known_formats, schema);
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match format {
        "uint32" => {
            schema.remove("format");
            if schema.get("maximum").is_none() {
                schema.insert("maximum".to_owned(), u32::MAX.into());
            }
        }
        "uint8" | "uint16" | "uint64" | "uint" | "double" => {
            schema.remove("format");
        }
        _ => {}
    }
}

/// Descriptions are for people without this program's source: the first paragraph, without links. A default of null says
/// nothing.
pub(super) fn plain_words(schema: &mut Schema) {
    transform_subschemas(&mut plain_words, schema);
    if let Some(Value::String(words)) = schema.get_mut("description") {
        let first = words.split("\n\n").next().unwrap_or_default();
        *words = first.replace("[`", "`").replace("`]", "`").replace('\n', " ");
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// A field that is left out where it has no value is never null.
pub(super) fn no_nulls_that_are_left_out(schema: &mut Schema) {
    transform_subschemas(&mut no_nulls_that_are_left_out, schema);
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, shape) in properties.iter_mut() {
        if let (false, Value::Object(shape)) = (required.iter().any(|field| field == name), shape) {
            forget_null(shape);
        }
    }
}

fn forget_null(shape: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = shape.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            shape.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(options)) = shape.get_mut("anyOf") {
        options.retain(|option| option["type"] != "null");
        if let [Value::Object(only)] = options.as_slice() {
            let only = only.clone();
            shape.shift_remove("anyOf");
            shape.extend(only);
        }
    }
}
