//! The schema of definition files, for editors: one document of them.

use serde_json::{Value, json};

use super::payloads::{identified, reader};
use crate::adapters::agent_schemas;
use crate::definitions::Document;

/// What the schema calls an agent of any type.
const AGENT: &str = "AgentDefinition";

/// The schema. What an agent can have depends on its type, which only the adapters know.
pub(super) fn schema() -> Value {
    let mut generator = reader();
    let mut types = Vec::new();
    for (kind, schema) in agent_schemas(&mut generator) {
        let name = format!("agent_{kind}");
        types.push(json!({ "$ref": format!("#/$defs/{name}") }));
        generator.definitions_mut().insert(name, schema.to_value());
    }
    let mut schema = identified(super::DEFINITIONS, generator.into_root_schema_for::<Document>());
    schema["$defs"][AGENT] = json!({ "description": "An agent under test.", "oneOf": types });
    schema
}
