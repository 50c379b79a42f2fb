//! `/healthz`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Readiness;
use crate::telemetry::metrics::Metrics;

/// Media type of Prometheus' text format.
const EXPOSITION_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is served. It is there before the worker is ready, and asks nobody: others keep it up to date.
#[derive(Clone)]
pub struct Health {
    /// What is in the way.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Metrics,
    /// Fires when the worker drains.
    pub stop: CancellationToken,
}

impl Health {
    /// Whether nothing keeps the worker from taking work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.obstacles().is_empty()
    }

    /// Everything that keeps the worker from taking work, in a line each.
    fn obstacles(&self) -> Vec<String> {
        let draining = self.stop.is_cancelled().then(|| "draining".to_owned());
        draining.into_iter().chain(self.readiness.obstacles()).collect()
    }
}

/// Serves health and metrics until `stop` fires.
///
/// # Errors
/// What the listener reports.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// A worker that does not look around any more is stuck, and only a new process helps.
async fn alive(State(health): State<Health>) -> (StatusCode, String) {
    match health.readiness.stuck() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let obstacles = health.obstacles();
    if obstacles.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", obstacles.join("\n")))
}

async fn metrics(State(health): State<Health>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, EXPOSITION_FORMAT)], health.metrics.render())
}
