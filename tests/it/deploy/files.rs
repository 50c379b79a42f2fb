//! Files that other programs read: they can be read, and what they name is there.

use std::process::Command;

use serde_json::Value;

use super::{document, files, list, read, root, text};
use crate::support::nats::{self, Role};

#[test]
fn every_yaml_and_json_file_can_be_read() {
    let mut read = 0;
    for path in files("") {
        let content = || std::fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => {
                let documents: Vec<Value> = serde_saphyr::from_multiple(&content())
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(documents.iter().all(Value::is_object), "{} has an empty document", path.display());
            }
            Some("json") => drop(serde_json::from_str::<Value>(&content()).unwrap()),
            _ => continue,
        }
        read += 1;
    }
    assert!(read > 15, "only {read} files were found");
}

#[test]
fn what_compose_mounts_is_there_and_what_it_waits_for_is_a_service() {
    let compose = document("compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let is_there = source.strip_prefix("./").map(|file| root().join(file).exists());
            assert!(is_there.unwrap_or_else(|| volumes.contains_key(source)), "{name} mounts {source}");
        }
        let waits = match &service["depends_on"] {
            Value::Object(waits) => waits.keys().map(String::as_str).collect(),
            Value::Array(waits) => waits.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(waits.iter().all(|other| services.contains_key(*other)), "{name} waits for {waits:?}");
    }
    for worker in ["worker-1", "worker-2"] {
        let target = format!("{worker}:9464");
        let scraped = document("prometheus/prometheus.yaml");
        assert!(list(&scraped, "/scrape_configs/0/static_configs/0/targets").contains(&target.into()));
    }
}

#[test]
fn dashboards_ask_the_sources_that_are_provisioned() {
    let sources = document("grafana/provisioning/datasources/datasources.yaml");
    let uids: Vec<&str> = list(&sources, "/datasources").iter().map(|source| text(source, "/uid")).collect();
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/scenario-worker.json")).unwrap();
    for panel in list(&dashboard, "/panels") {
        assert!(uids.contains(&text(panel, "/datasource/uid")), "{panel}");
    }
    let compose = document("compose.yaml");
    let home = text(&compose, "/services/grafana/environment/GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH");
    let provider = document("grafana/provisioning/dashboards/dashboards.yaml");
    let folder = text(&provider, "/providers/0/options/path");
    assert_eq!(home, format!("{folder}/scenario-worker.json"));
    assert!(
        list(&compose, "/services/grafana/volumes")
            .contains(&format!("./grafana/dashboards:{folder}:ro").into())
    );
}

#[test]
fn each_pipeline_of_the_collector_has_parts_that_are_configured() {
    let collector = document("otel-collector.yaml");
    for pipeline in collector["service"]["pipelines"].as_object().unwrap().values() {
        for (kind, names) in pipeline.as_object().unwrap() {
            for name in names.as_array().unwrap() {
                assert!(!collector[kind][name.as_str().unwrap()].is_null(), "no {kind} {name}");
            }
        }
    }
}

#[test]
fn nats_server_takes_the_configuration_of_compose_and_the_permissions() {
    let conf = read("nats.conf");
    assert!(conf.contains("sync_interval: always"), "{conf}");
    let variables = Role::ALL.map(|(_, name)| format!("SCENARIO_{}_PASSWORD: secret\n", name.to_uppercase()));
    let permissions = read("nats-permissions.conf");
    let account = format!("accounts {{ SCENARIO {{ jetstream: enabled\n{permissions}\n}} }}\n");
    for text in [conf, variables.concat() + &account] {
        let file = tempfile::NamedTempFile::with_suffix(".conf").unwrap();
        std::fs::write(file.path(), text).unwrap();
        let checked = Command::new(nats::program()).arg("-t").arg("-c").arg(file.path()).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
