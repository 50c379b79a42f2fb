//! Each setting that is used anywhere is one that the program takes, with its value.

use std::collections::BTreeMap;

use regex::Regex;
use scenario_worker::settings::{Settings, load};

use super::{document, files, list, read, text};

/// The settings of the workers of Kubernetes, with or without the components.
pub(super) fn of_kubernetes(components: bool) -> Settings {
    let mut variables = environment_file(&read("kubernetes/base/settings.env"));
    if components {
        let literals = document("kubernetes/components/nack/kustomization.yaml");
        for literal in list(&literals, "/configMapGenerator/0/literals") {
            variables.extend(environment_file(literal.as_str().unwrap()));
        }
    }
    let deployment = document("kubernetes/base/deployment.yaml");
    for variable in list(&deployment, "/spec/template/spec/containers/0/env") {
        variables.insert(text(variable, "/name").to_owned(), text(variable, "/value").to_owned());
    }
    // No secret is shipped; the files are looked at when the worker starts.
    load(None, variables, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn environment_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_setting_that_is_named_anywhere_is_one() {
    let known = serde_json::to_value(Settings::default()).unwrap();
    let name = Regex::new("SCENARIO_WORKER__([A-Z0-9_]+)").unwrap();
    let mut found = 0;
    for path in files("") {
        let content = std::fs::read_to_string(&path).unwrap();
        for variable in name.captures_iter(&content) {
            let pointer = format!("/{}", variable[1].to_lowercase().replace("__", "/"));
            assert!(known.pointer(&pointer).is_some(), "{}: {} is no setting", path.display(), &variable[0]);
            found += 1;
        }
    }
    assert!(found > 10, "only {found} settings were found");
}

#[test]
fn the_settings_of_compose_can_be_used() {
    let compose = document("compose.yaml");
    for worker in ["worker-1", "worker-2"] {
        let environment: BTreeMap<String, String> =
            serde_json::from_value(compose["services"][worker]["environment"].clone()).unwrap();
        let settings = load(None, environment, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.http.bind.port(), 9464);
        assert!(settings.telemetry.worker.otlp_endpoint.is_some());
    }
}

#[test]
fn the_settings_of_kubernetes_can_be_used() {
    assert!(of_kubernetes(false).nats.manage_topology);
    assert!(!of_kubernetes(true).nats.manage_topology);
}

#[test]
fn the_image_listens_where_it_says_and_asks_itself() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("ENV SCENARIO_WORKER__HTTP__BIND=0.0.0.0:9464\nEXPOSE 9464\n"));
    assert!(dockerfile.contains(r#"CMD ["/usr/local/bin/scenario-worker", "health"]"#));
    let last_stage = dockerfile.rsplit_once("\nFROM ").unwrap().1;
    assert!(last_stage.contains(":nonroot\n") && last_stage.contains("\nUSER 65532:65532\n"), "{last_stage}");
}
