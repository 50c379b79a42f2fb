//! `health`, as a container runtime asks it.

use crate::support::worker::{Place, json_lines, text};

#[tokio::test]
async fn a_worker_that_is_alive_is_healthy_and_one_that_is_gone_is_not() {
    let place = Place::new();
    let worker = place.begin().await;
    let asking = Place::on(place.nats.clone()).with("HTTP__BIND", worker.health());
    let alive = asking.run(&["health"]).await;
    assert_eq!(alive.status.code(), Some(0), "{}", text(&alive.stderr));
    let address = worker.health().to_owned();
    worker.kill().await;
    let dead = asking.run(&["health"]).await;
    assert_eq!(dead.status.code(), Some(1));
    assert!(
        text(&dead.stderr).contains(&format!("no worker answers at {address}")),
        "{}",
        text(&dead.stderr)
    );
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_unhealthy_too() {
    let output = Place::new().with("HTTP__BIND", "nowhere").run(&["health"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("http.bind"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_worker_that_starts_is_waited_for_until_it_is_ready() {
    let place = Place::new();
    place.import("project: { id: acme }").await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let asking = Place::on(place.nats.clone()).with("HTTP__BIND", &address);
    let too_soon = asking.run(&["health", "--ready"]).await;
    assert_eq!(too_soon.status.code(), Some(1), "{}", text(&too_soon.stderr));
    let place = place.with("HTTP__BIND", &address);
    let (ready, worker) =
        tokio::join!(asking.run(&["health", "--ready", "--wait", "60", "--json"]), place.serve());
    assert_eq!(ready.status.code(), Some(0), "{}", text(&ready.stderr));
    assert_eq!(json_lines(&ready.stdout), [serde_json::json!({ "ready": true, "address": address })]);
    assert_eq!(worker.health(), address);
}

#[tokio::test]
async fn a_worker_that_is_not_ready_says_why() {
    let place = Place::new().with("NATS__URL", "nats://127.0.0.1:1");
    let worker = place.begin().await;
    let asking = Place::on(place.nats.clone()).with("HTTP__BIND", worker.health());
    assert_eq!(asking.run(&["health"]).await.status.code(), Some(0));
    let output = asking.run(&["health", "--ready"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("says 503 Service Unavailable: "), "{}", text(&output.stderr));
}
