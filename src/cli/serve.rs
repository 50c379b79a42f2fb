//! `serve`: the worker, from its settings to its graceful stop.

use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::arguments::{Layers, ServeOptions};
use super::error::{CliError, Finished, chain};
use super::terminal::say;
use super::wiring::{self, Definitions};
use crate::settings::Settings;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::worker::{self, WorkerTelemetryOptions};
use crate::worker::{Health, serve_health};

/// Name of a worker at the broker.
const CLIENT_NAME: &str = "scenario-worker serve";
/// Exit code after a second signal, as shells report a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// Runs the worker until it is told to stop.
pub(super) async fn run(layers: &Layers, options: ServeOptions) -> Result<Finished, CliError> {
    let mut settings = layers.settings()?;
    if let Some(concurrency) = options.concurrency {
        settings.worker.concurrency = concurrency;
    }
    let otlp_endpoint = settings.telemetry.worker.otlp_endpoint.clone();
    let options = WorkerTelemetryOptions { otlp_endpoint, ..WorkerTelemetryOptions::default() };
    let telemetry = worker::init(&options).map_err(|error| CliError::refused(chain(&error)))?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let result = Box::pin(work(&settings, &telemetry.metrics(), stop)).await;
    telemetry.shutdown().await;
    result
}

async fn work(settings: &Settings, metrics: &Metrics, stop: CancellationToken) -> Result<Finished, CliError> {
    let definitions = Definitions::open(settings).await?;
    let (store, metrics) = (definitions.store.clone(), metrics.clone());
    let connection = wiring::connect(settings, CLIENT_NAME).await?;
    let denials = connection.denials.clone();
    metrics.observe_permission_denials(move || denials.count());
    let listener = listen(settings).await?;
    let (service, endpoints) =
        Box::pin(wiring::service(settings, &definitions, &connection, &metrics)).await?;
    announce(settings, &listener)?;
    let health = Health { connection, store: store.clone(), metrics, stop: stop.clone() };
    let ended = CancellationToken::new();
    let working = Box::pin(service.run(endpoints, stop)).inspect(|_| ended.cancel());
    let (worked, served) = tokio::join!(working, serve_health(listener, health, ended.clone()));
    store.close().await;
    worked.map_err(|error| CliError::out_of_reach(&error))?;
    served.map_err(|error| CliError::refused(format!("the health server failed: {error}")))?;
    tracing::info!("the worker has stopped");
    Ok(Finished::Well)
}

/// The address is read back, because port 0 is a free one.
fn announce(settings: &Settings, listener: &TcpListener) -> Result<(), CliError> {
    let (concurrency, durable) = (settings.worker.concurrency, &settings.consumer.durable);
    let health = listener.local_addr().map_err(CliError::refused)?;
    tracing::info!(concurrency, consumer = %durable, %health, "the worker takes requests");
    Ok(())
}

async fn listen(settings: &Settings) -> Result<TcpListener, CliError> {
    let bind = settings.http.bind;
    let failed =
        |error| CliError::refused(format!("`http.bind` is {bind}, which cannot be listened on: {error}"));
    TcpListener::bind(bind).await.map_err(failed)
}

/// The first signal stops gracefully; the second one at once.
fn stop_on_signals(stop: CancellationToken) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::refused)?;
    tokio::spawn(async move {
        let mut received = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
        received().await;
        tracing::info!("told to stop; a second signal stops at once");
        stop.cancel();
        received().await;
        say("stopped at once; runs under way are delivered to another worker");
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}
