//! Dashboard and alerts ask for metrics that a worker has.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use regex::Regex;
use serde_json::Value;

use super::{document, list, read, text};
use crate::end_to_end::{publish, request};
use crate::support::shop::Shop;
use crate::support::worker::{Place, Worker, within};

/// Definitions by which everything that is counted by kind happens once: a limit, and an endpoint that nobody listens at.
fn definitions(agent: &str) -> String {
    format!(
        r#"
project:
  id: acme
  defaultModel: offline/model
  telemetry: {{ endpoint: "http://127.0.0.1:9", apiKey: k, protocol: otlp }}
providers:
  - id: offline
    kind: scripted
    models: {{ model: {{ replies: ["my mug broke"] }} }}
agents:
  - {{ id: shop, type: http, url: "{agent}", outputPath: "$.reply", limits: {{ requestsPerMinute: 6000 }} }}
scenarios:
  - {{ id: refund, name: Refund, situation: A mug broke., criteria: ["The agent apologises"], maxTurns: 1 }}
"#
    )
}

/// The names that `/metrics` has.
async fn shown(worker: &Worker) -> BTreeSet<String> {
    let (_, metrics) = worker.get("/metrics").await;
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

fn asked_for() -> BTreeSet<String> {
    let name = Regex::new("scenario_worker_[a-z_]+").unwrap();
    let texts = [read("grafana/dashboards/scenario-worker.json"), read("prometheus/alerts.yaml")];
    texts.iter().flat_map(|text| name.find_iter(text).map(|found| found.as_str().to_owned())).collect()
}

#[tokio::test]
async fn every_metric_that_is_asked_for_is_one_that_a_worker_shows() {
    let shop = Shop::open(std::time::Duration::ZERO).await;
    let place = Place::new();
    place.import(&definitions(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    for payload in [b"no JSON".to_vec(), request(&serde_json::json!({}))] {
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload).await;
    }
    let asked_for = asked_for();
    assert!(asked_for.len() > 12, "{asked_for:?}");
    within(async || shown(&worker).await.contains("scenario_worker_run_duration_seconds_bucket")).await;
    within(async || shown(&worker).await.contains("scenario_worker_dead_letters_total")).await;
    let shown = shown(&worker).await;
    let unknown: Vec<_> = asked_for.difference(&shown).collect();
    assert!(unknown.is_empty(), "a worker has no {unknown:?}, but {shown:?}");
}

#[test]
fn every_alert_says_what_it_is_about_what_to_do_and_how_urgent_it_is() {
    let rules = document("prometheus/alerts.yaml");
    let alerts = list(&rules, "/groups/0/rules");
    let names: BTreeSet<&str> = alerts.iter().map(|alert| text(alert, "/alert")).collect();
    assert_eq!(names.len(), alerts.len(), "a name is there twice");
    for alert in alerts {
        assert!(["page", "ticket"].contains(&text(alert, "/labels/severity")), "{alert}");
        assert!(
            !text(alert, "/annotations/summary").is_empty()
                && !text(alert, "/annotations/description").is_empty()
        );
        assert!(!text(alert, "/expr").is_empty());
    }
    let prometheus: Value = document("prometheus/prometheus.yaml");
    assert_eq!(prometheus["rule_files"][0], "alerts.yaml");
}
