//! What travels and what people write, as JSON Schemas and an `AsyncAPI` document: made from the types, so that they cannot
//! say anything else. The files of the folder `schemas` are [`files`], written down.

mod asyncapi;
mod definition_files;
mod payloads;
mod polish;

use serde_json::Value;

/// Name of the schema of definition files.
pub const DEFINITIONS: &str = "definitions";
/// Name of the `AsyncAPI` document.
pub const ASYNC_API: &str = "asyncapi";
/// What the names of schemas' files end with.
const SCHEMA_ENDING: &str = ".schema.json";

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFile {
    /// What it is called without its ending.
    pub name: &'static str,
    /// What it is called in the folder.
    pub file_name: String,
    /// JSON, with a line break at its end.
    pub text: String,
}

/// Every file, in the order of a reader: payloads, definition files, `AsyncAPI`.
#[must_use]
pub fn files() -> Vec<SchemaFile> {
    let payloads = payloads::all().into_iter().map(|(name, schema)| schema_file(name, &schema));
    let definitions = schema_file(DEFINITIONS, &definition_files::schema());
    let asyncapi = SchemaFile {
        name: ASYNC_API,
        file_name: "asyncapi.json".to_owned(),
        text: text(&asyncapi::document()),
    };
    payloads.chain([definitions, asyncapi]).collect()
}

/// What the file of the schema called `name` is called.
fn file_name(name: &str) -> String {
    format!("{name}{SCHEMA_ENDING}")
}

fn schema_file(name: &'static str, schema: &Value) -> SchemaFile {
    SchemaFile { name, file_name: file_name(name), text: text(schema) }
}

fn text(document: &Value) -> String {
    format!("{document:#}\n")
}
