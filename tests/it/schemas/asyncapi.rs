//! The `AsyncAPI` document: valid, whole, and true to the subjects.

use std::collections::BTreeMap;

use scenario_worker::events::subjects::{self, EventKind};
use scenario_worker::events::{ProjectId, RunId, RunKey};
use serde_json::Value;

use crate::support::schemas::{committed, folder, problems};

const SPECIFICATION: &str = include_str!("../../data/asyncapi/3.0.0.json");

fn document() -> Value {
    committed("asyncapi.json")
}

/// Every reference below `value`.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn it_is_valid_by_the_specification() {
    let specification: Value = serde_json::from_str(SPECIFICATION).unwrap();
    let validator = jsonschema::options().offline().build(&specification).unwrap();
    assert_eq!(problems(&validator, &document()), [""; 0]);
    let mut wrong = document();
    wrong["operations"]["schedule"]["action"] = "answer".into();
    assert!(!validator.is_valid(&wrong), "the specification catches a wrong document");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut files: Vec<&str> = Vec::new();
    for reference in references(&document) {
        if let Some(pointer) = reference.strip_prefix('#') {
            assert!(document.pointer(pointer).is_some(), "{reference}");
            continue;
        }
        let file = reference.strip_prefix("./").unwrap();
        assert!(folder().join(file).is_file(), "{reference}");
        files.push(file);
    }
    let payloads =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    for file in payloads.filter(|name| name.ends_with(".schema.json") && !name.starts_with("definitions")) {
        assert!(files.contains(&file.as_str()), "{file} is the payload of no message");
    }
}

#[test]
fn the_addresses_are_the_subjects_and_the_streams_those_that_keep_them() {
    let key = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r1").unwrap() };
    let document = document();
    let written: BTreeMap<String, Value> = document["channels"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|channel| {
            let address = channel["address"].as_str()?;
            let named = address.contains('{').then(|| channel["parameters"].as_object().unwrap().len());
            assert_eq!(named.unwrap_or_default(), address.matches('{').count(), "{address}");
            let subject = address.replace("{projectId}", "acme").replace("{scenarioRunId}", "r1");
            Some((subject, channel["x-jetstream-stream"].clone()))
        })
        .collect();
    let mut expected: BTreeMap<String, Value> = EventKind::ALL
        .into_iter()
        .flat_map(|kind| {
            [
                (subjects::event(&key, kind), subjects::EVENTS_STREAM.into()),
                (subjects::plain(kind), Value::Null),
            ]
        })
        .collect();
    expected.extend([
        (subjects::REQUESTED.to_owned(), subjects::REQUESTS_STREAM.into()),
        (subjects::requested(&key.project), subjects::REQUESTS_STREAM.into()),
        (subjects::CANCEL_REQUESTED.to_owned(), subjects::COMMANDS_STREAM.into()),
        (subjects::cancel_requested(&key.project), subjects::COMMANDS_STREAM.into()),
        (subjects::DEAD_LETTERED.to_owned(), subjects::DEAD_LETTERS_STREAM.into()),
        (subjects::SERVICE_SCHEDULE.to_owned(), Value::Null),
        (subjects::SERVICE_CANCEL.to_owned(), Value::Null),
        (subjects::SERVICE_STATUS.to_owned(), Value::Null),
    ]);
    assert_eq!(written, expected);
    let kinds = EventKind::ALL.map(EventKind::as_str);
    assert!(
        kinds.iter().all(|kind| EventKind::from_subject(kind).is_some_and(|found| found.as_str() == *kind))
    );
}
