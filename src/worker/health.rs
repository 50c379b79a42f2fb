//! `/healthz`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Readiness;
use crate::telemetry::metrics::Metrics;

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
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let obstacles = health.obstacles();
    if obstacles.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", obstacles.join("\n")))
}

async fn metrics(State(health): State<Health>) -> String {
    health.metrics.render()
}
