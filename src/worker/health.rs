//! `/healthz`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::queue::Connection;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// What readiness depends on. It is served only once the topology is as expected and the consumer bound; a worker
/// that loses its consumer exits.
#[derive(Clone)]
pub struct Health {
    /// The broker.
    pub connection: Connection,
    /// The definitions.
    pub store: Store,
    /// What is counted.
    pub metrics: Metrics,
    /// Fires when the worker drains.
    pub stop: CancellationToken,
}

impl Health {
    /// Everything that keeps the worker from taking work, in a line each.
    async fn obstacles(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.stop.is_cancelled() {
            found.push("draining".to_owned());
        }
        if !self.connection.is_connected() {
            found.push("the broker is not connected".to_owned());
        }
        found.extend(self.connection.denials.in_the_way().iter().map(ToString::to_string));
        if let Err(error) = self.store.ping().await {
            found.push(format!("the store does not answer: {error}"));
        }
        found
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
    let obstacles = health.obstacles().await;
    if obstacles.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", obstacles.join("\n")))
}

async fn metrics(State(health): State<Health>) -> String {
    health.metrics.render()
}
