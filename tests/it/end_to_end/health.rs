//! `health`, as a container runtime asks it.

use crate::support::worker::{Place, text};

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
