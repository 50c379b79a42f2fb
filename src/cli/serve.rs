//! `serve`: the worker, from its settings to its graceful stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::arguments::{Layers, ServeOptions};
use super::error::{CliError, Finished};
use super::wiring::{self, Definitions};
use crate::events::SetId;
use crate::queue::cancellation::Cancellations;
use crate::queue::connection::Connection;
use crate::queue::consumer::Consumer;
use crate::queue::dead_letters::DeadLetters;
use crate::queue::publisher::EventPublisher;
use crate::queue::run_state::RunStates;
use crate::queue::topology::{self, Topology};
use crate::settings::Settings;
use crate::telemetry::export::OtlpSender;
use crate::telemetry::run::RunTracerFactory;
use crate::telemetry::worker::{Metrics, WorkerTelemetry};
use crate::worker::{Health, Processor, ProcessorParts, Service, serve_health};

/// Name of a worker at the broker.
const CLIENT_NAME: &str = "scenario-worker serve";

/// Runs the worker until it is told to stop.
pub(super) async fn run(layers: &Layers, options: ServeOptions) -> Result<Finished, CliError> {
    let mut settings = layers.settings()?;
    if let Some(concurrency) = options.concurrency {
        settings.worker.concurrency = concurrency;
    }
    let telemetry = WorkerTelemetry::start(&settings.telemetry.worker).map_err(CliError::refused)?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let result = work(&settings, telemetry.metrics(), stop).await;
    telemetry.shutdown().await;
    result
}
