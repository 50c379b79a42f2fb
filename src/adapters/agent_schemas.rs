//! What agents' definitions look like, for the schema of definition files.

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{http, presets};
use crate::definitions::AgentDefinition;

/// A type of agent, and the schema of its definitions.
pub type AgentSchema = (&'static str, Schema);

/// The schemas of all types that agents can be of.
pub fn agent_schemas(generator: &mut SchemaGenerator) -> Vec<AgentSchema> {
    let mut schemas = vec![(http::KIND, http::definition_schema(generator))];
    schemas.extend(presets::schemas(generator));
    schemas
}

/// An agent of type `kind` whose definition has the fields of all `parts`.
pub(super) fn agent_schema(kind: &str, generator: &mut SchemaGenerator, parts: &[Schema]) -> Schema {
    let mut common = AgentDefinition::json_schema(generator);
    if let Some(named) = common.get_mut("properties").and_then(|properties| properties.get_mut("type")) {
        *named = json!({ "type": "string", "const": kind });
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in std::iter::once(&common).chain(parts) {
        properties.extend(part.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(part.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    // A field that no value fits is one that this type does not have.
    properties.retain(|_, shape| !fits_nothing(shape));
    schemars::json_schema!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn fits_nothing(shape: &Value) -> bool {
    let options = shape.get("anyOf").and_then(Value::as_array);
    options.map_or(shape["type"] == "null", |options| {
        options.iter().all(|option| *option == json!(false) || option["type"] == "null")
    })
}
