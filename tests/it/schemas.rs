//! The committed schemas: what the types say, what definition files say, what `AsyncAPI` says.

mod asyncapi;
mod definitions;

use std::collections::BTreeSet;

use scenario_worker::schemas::files;

use crate::support::schemas::{committed, folder};
use crate::support::worker::{Place, text};

#[test]
fn the_committed_files_are_what_the_types_say() {
    let rewrite = "run `cargo run -- schemas --write schemas` and commit what it writes";
    for file in files() {
        let found = std::fs::read_to_string(folder().join(&file.file_name)).unwrap_or_default();
        assert!(found == file.text, "schemas/{} is not what the types say: {rewrite}", file.file_name);
        assert!(found.ends_with("}\n"));
    }
    let expected: BTreeSet<_> = files().into_iter().map(|file| file.file_name).collect();
    let entries = std::fs::read_dir(folder()).unwrap();
    let there: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, expected, "the folder has nothing else");
}

#[test]
fn every_schema_is_one_by_its_own_meta_schema_and_names_itself() {
    for file in files().into_iter().filter(|file| file.file_name.ends_with(".schema.json")) {
        let schema = committed(&file.file_name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:scenario-worker:schema:{}", file.name));
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{}: {error}", file.file_name));
        assert!(!file.text.contains("[`"), "{}: links into the source mean nothing here", file.file_name);
    }
}

#[tokio::test]
async fn the_command_lists_prints_and_writes_them() {
    let place = Place::new();
    let listed = text(&place.run(&["schemas"]).await.stdout);
    assert_eq!(listed.lines().collect::<Vec<_>>(), files().iter().map(|file| file.name).collect::<Vec<_>>());
    for file in files() {
        assert!(text(&place.run(&["schemas", file.name]).await.stdout) == file.text, "{}", file.name);
    }
    let unknown = place.run(&["schemas", "run-finished"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is: run-requested, "), "{}", text(&unknown.stderr));
    let folder = place.path("written");
    assert!(place.run(&["schemas", "--write", folder.to_str().unwrap()]).await.status.success());
    for file in files() {
        assert!(std::fs::read_to_string(folder.join(&file.file_name)).unwrap() == file.text);
    }
}
