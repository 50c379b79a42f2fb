//! The parts of the Kubernetes manifests fit each other, and the program.

use std::collections::BTreeSet;
use std::path::Path;

use scenario_worker::events::subjects::REQUESTS_STREAM;
use serde_json::{Value, json};

use super::settings::of_kubernetes;
use super::{document, files, list, root, text};

const README: &str = include_str!("../../../README.md");
/// How much longer than its drain time a worker takes to stop at most, as the README promises.
const STOP_SECONDS: u64 = 30;

fn base(name: &str) -> Value {
    document(&format!("kubernetes/base/{name}.yaml"))
}

fn pod() -> Value {
    base("deployment").pointer("/spec/template/spec").unwrap().clone()
}

#[test]
fn each_kustomization_lists_files_that_are_there_and_all_of_them() {
    let mut seen = 0;
    for path in files("kubernetes").iter().filter(|path| path.ends_with("kustomization.yaml")) {
        let folder = path.parent().unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let kustomization = document(&name);
        let named = |key: &str| -> BTreeSet<String> {
            let entries = kustomization[key].as_array().into_iter().flatten();
            entries.map(|entry| entry.as_str().unwrap().to_owned()).collect()
        };
        let (resources, components) = (named("resources"), named("components"));
        for resource in resources.union(&components) {
            let target = folder.join(resource);
            assert!(target.is_file() || target.join("kustomization.yaml").is_file(), "{name}: {resource}");
        }
        assert_eq!(
            resources_in(folder),
            resources.into_iter().filter(|r| !r.starts_with("..")).collect(),
            "{name}"
        );
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// Every manifest in a folder.
fn resources_in(folder: &Path) -> BTreeSet<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| {
            Path::new(name).extension().is_some_and(|e| e == "yaml") && name != "kustomization.yaml"
        })
        .collect()
}

#[test]
fn everything_selects_the_pods_of_the_deployment() {
    let deployment = base("deployment");
    let labels = deployment.pointer("/spec/template/metadata/labels").unwrap();
    for (name, pointer) in [
        ("deployment", "/spec/selector/matchLabels"),
        ("deployment", "/spec/template/spec/topologySpreadConstraints/0/labelSelector/matchLabels"),
        ("service", "/spec/selector"),
        ("poddisruptionbudget", "/spec/selector/matchLabels"),
        ("networkpolicy", "/spec/podSelector/matchLabels"),
    ] {
        assert_eq!(base(name).pointer(pointer), Some(labels), "{name} {pointer}");
    }
    let monitor = document("kubernetes/components/prometheus/podmonitor.yaml");
    assert_eq!(monitor.pointer("/spec/selector/matchLabels"), Some(labels), "podmonitor");
    let job = monitor.pointer("/spec/jobLabel").and_then(Value::as_str).unwrap();
    assert_eq!(labels[job], "scenario-worker", "the job of alerts and dashboard");
}

#[test]
fn the_pod_uses_the_account_the_settings_and_the_secret_that_there_are() {
    let (pod, kustomization, account) = (pod(), base("kustomization"), base("serviceaccount"));
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(
        (&pod["automountServiceAccountToken"], &account["automountServiceAccountToken"]),
        (&json!(false), &json!(false))
    );
    let container = &pod["containers"][0];
    let settings = &kustomization["configMapGenerator"][0]["name"];
    assert_eq!(&container["envFrom"][0]["configMapRef"]["name"], settings);
    let merged = document("kubernetes/components/nack/kustomization.yaml");
    assert_eq!(&merged["configMapGenerator"][0]["name"], settings);
    assert_eq!(container["image"], kustomization["images"][0]["name"]);
    assert!(
        !container["env"].to_string().contains("secretKeyRef"),
        "secrets are files, which can be renewed"
    );
    let items = list(&pod["volumes"][0], "/secret/items");
    let keys: Vec<_> = items.iter().map(|item| text(item, "/key")).collect();
    for key in keys {
        assert!(
            README.contains(&format!("={key}=")) || README.contains(&format!("{key}=")),
            "the README does not make the key {key}"
        );
    }
}

#[test]
fn each_secret_is_read_where_it_is_mounted() {
    let (pod, settings) = (pod(), of_kubernetes(false));
    let (container, volume) = (&pod["containers"][0], &pod["volumes"][0]);
    assert_eq!(container["volumeMounts"][0]["name"], volume["name"]);
    assert!(container["volumeMounts"][0].get("subPath").is_none(), "such a file would never change");
    let folder = text(container, "/volumeMounts/0/mountPath");
    let mounted = list(volume, "/secret/items").iter();
    let mounted: BTreeSet<_> = mounted.map(|item| format!("{folder}/{}", text(item, "/path"))).collect();
    let named = [settings.nats.password_file, settings.store.url_file, settings.store.encryption_keys_file];
    let named: BTreeSet<_> = named.map(|file| file.unwrap().to_str().unwrap().to_owned()).into();
    assert_eq!(mounted, named);
}

#[test]
fn probes_and_service_ask_the_port_that_the_worker_listens_on() {
    let pod = pod();
    let (container, service) = (&pod["containers"][0], base("service"));
    let (port, settings) = (&container["ports"][0], of_kubernetes(false));
    assert_eq!(port["containerPort"], json!(settings.http.bind.port()));
    assert!(settings.http.bind.ip().is_unspecified(), "the kubelet asks from outside");
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": port["name"] }));
    }
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    let policy = base("networkpolicy");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port["containerPort"]);
}

#[test]
fn the_pod_may_do_as_little_as_it_needs_and_has_time_to_stop() {
    let pod = pod();
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        (
            &context["allowPrivilegeEscalation"],
            &context["readOnlyRootFilesystem"],
            &context["capabilities"]["drop"]
        ),
        (&json!(false), &json!(true), &json!(["ALL"]))
    );
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > of_kubernetes(true).worker.drain_seconds + STOP_SECONDS, "{grace}");
}

#[test]
fn the_network_policy_lets_the_worker_reach_what_its_settings_name() {
    let (policy, settings) = (base("networkpolicy"), of_kubernetes(false));
    let ports: Vec<u64> = list(&policy, "/spec/egress")
        .iter()
        .flat_map(|rule| list(rule, "/ports"))
        .filter_map(|port| port["port"].as_u64())
        .collect();
    let collector = settings.telemetry.worker.otlp_endpoint.unwrap();
    let collector = url::Url::parse(&collector).unwrap().port().unwrap();
    for port in [53, 4222, 5432, 443, collector.into()] {
        assert!(ports.contains(&port), "{port} is not in {ports:?}");
    }
}

#[test]
fn keda_scales_the_deployment_by_the_consumer_that_workers_read() {
    let (scaled, settings) = (document("kubernetes/components/keda/scaledobject.yaml"), of_kubernetes(true));
    assert_eq!(text(&scaled, "/spec/scaleTargetRef/name"), text(&base("deployment"), "/metadata/name"));
    let trigger = scaled.pointer("/spec/triggers/0").unwrap();
    assert_eq!(text(trigger, "/type"), "nats-jetstream");
    assert_eq!(text(trigger, "/metadata/stream"), REQUESTS_STREAM);
    assert_eq!(text(trigger, "/metadata/consumer"), settings.consumer.durable);
    let lag: usize = text(trigger, "/metadata/lagThreshold").parse().unwrap();
    assert!(lag <= settings.worker.concurrency, "a worker would get more than it can play");
    let most = usize::try_from(scaled["spec"]["maxReplicaCount"].as_u64().unwrap()).unwrap();
    let in_flight = usize::try_from(settings.consumer.max_ack_pending).unwrap();
    assert!(
        most * settings.worker.concurrency <= in_flight,
        "some of {most} workers would have nothing to do"
    );
    let patch = document("kubernetes/components/keda/kustomization.yaml");
    assert_eq!(patch["patches"][0]["target"], json!({ "kind": "Deployment", "name": "scenario-worker" }));
    let account = text(trigger, "/metadata/account");
    assert!(super::read("nats-permissions.conf").contains(&format!("#     {account} {{")), "{account}");
}
