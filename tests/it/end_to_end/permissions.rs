//! A worker whose user lacks a permission.

use async_nats::HeaderMap;

use super::strangers::{offline, publish};
use crate::support::nats::FORBIDDEN;
use crate::support::worker::{PATIENCE, Place, Worker};

#[tokio::test]
async fn a_forbidden_subject_is_named_by_readiness_metrics_and_log() {
    let place = Place::new();
    let narrow = place.nats.narrow().url;
    let client = place.nats.client().await;
    let place = place.with("NATS__URL", &narrow);
    place.import(&offline("http://127.0.0.1:9/")).await;
    let worker = place.serve().await;
    assert_eq!(worker.get("/readyz").await.0, 200, "nothing was forbidden yet");
    assert!(worker.metric("scenario_worker_permission_denials_total").await.abs() < f64::EPSILON);
    // These have to become dead letters, which this worker may not publish.
    for payload in ["no JSON", "none either"] {
        publish(&client, "scenario.run.requested", HeaderMap::new(), payload.into()).await;
    }
    let said = until_unready(&worker, "forbids").await;
    assert!(said.contains(&format!("forbids this user to publish on '{FORBIDDEN}'")), "{said}");
    let counted = async {
        while worker.metric("scenario_worker_permission_denials_total").await < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
    worker.terminate();
    // It would wait for its attempts to publish; the second signal does not.
    until_unready(&worker, "draining").await;
    worker.terminate();
    let (_, log) = worker.ended().await;
    let lines: Vec<_> = log.iter().filter(|line| line.contains("forbids this user")).collect();
    assert_eq!(lines.len(), 1, "each attempt counts, and the log has one line for all of them: {log:?}");
    assert!(lines[0].contains("ERROR") && lines[0].contains(FORBIDDEN), "{lines:?}");
}

/// Waits until readiness says `why`.
async fn until_unready(worker: &Worker, why: &str) -> String {
    let said = async {
        loop {
            let (status, body) = worker.get("/readyz").await;
            if status == 503 && body.contains(why) {
                return body;
            }
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap()
}
