//! Rules of JSON within a definition.

use serde_json::Value;

use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The largest JSON (a schema, arguments, a value), in bytes: it is kept with every step of a run.
const MAX_JSON_BYTES: usize = 16_384;
/// The deepest JSON: what is deeper than some times this cannot be read back from the store.
const MAX_JSON_DEPTH: usize = 32;

/// JSON that is neither too large nor too deep. Says whether it is not.
pub(super) fn bounded(reader: &mut Reader<'_>, field: &Field<'_>, value: &Value) -> bool {
    let (bytes, depth) = (value.to_string().len(), depth(value));
    if bytes > MAX_JSON_BYTES {
        reader.report(field, format!("has {bytes} bytes as JSON; it can have {MAX_JSON_BYTES}"));
    }
    if depth > MAX_JSON_DEPTH {
        reader.report(field, format!("is {depth} levels deep; it can be {MAX_JSON_DEPTH}"));
    }
    bytes <= MAX_JSON_BYTES && depth <= MAX_JSON_DEPTH
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// A JSON Schema that a provider gets as it is. What it makes of it is its own affair.
pub(super) fn schema(reader: &mut Reader<'_>, field: &Field<'_>, value: &Value) {
    if !value.is_object() {
        reader.report(field, "must be a JSON Schema: a mapping");
        return;
    }
    if !bounded(reader, field, value) {
        return;
    }
    if let Err(error) = jsonschema::draft202012::meta::validate(value) {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { String::new() } else { format!("at `{place}`: ") };
        reader.report(field, format!("is no JSON Schema: {place}{error}"));
    }
}
