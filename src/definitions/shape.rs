//! What the schemas of definitions say that their types alone do not.

use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Value, json};

/// Lets a field be written by its `other` name, too.
#[must_use]
pub fn also_called(field: &'static str, other: &'static str) -> impl Transform {
    move |schema: &mut Schema| {
        let Some(Value::Object(fields)) = schema.get_mut("properties") else { return };
        if let Some(shape) = fields.get(field).cloned() {
            fields.insert(other.to_owned(), shape);
        }
    }
}

/// Lets a name be one of these, too.
pub(super) fn more_names<const N: usize>(names: [&'static str; N]) -> impl Transform {
    move |schema: &mut Schema| {
        if let Some(Value::Array(known)) = schema.get_mut("oneOf") {
            known.push(json!({ "type": "string", "enum": names.as_slice() }));
        }
    }
}
