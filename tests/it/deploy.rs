//! What `deploy/` ships, held against the program: its settings, its metrics, its streams, its subjects.

mod files;
mod kubernetes;
mod metrics;
mod nack;
mod permissions;
mod settings;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// The text of a file of the folder.
fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// The YAML documents of a file of the folder.
fn documents(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// The one YAML document of a file of the folder.
fn document(name: &str) -> Value {
    let [document] = <[Value; 1]>::try_from(documents(name)).expect("the file has one document");
    document
}

/// Every file below a folder of the folder.
fn files(below: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().join(below)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The text at a JSON pointer.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

/// The list at a JSON pointer.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("no list at {pointer} in {value}"))
}
