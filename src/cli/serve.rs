//! `serve`: the worker, from its settings to its graceful stop.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::arguments::{Layers, ServeOptions};
use super::error::{CliError, Finished, chain};
use super::signals::{StopSignal, StopSignals};
use super::terminal::say;
use super::wiring::{self, Definitions};
use crate::queue::{ConnectError, Connection, connect as connect_to};
use crate::settings::Settings;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::worker::{self, WorkerTelemetryOptions};
use crate::worker::{Health, serve_health};

/// How often a worker that starts looks for its broker, and how long it waits in between.
const BROKER_RETRIES: usize = 30;
const BROKER_RETRY: Duration = Duration::from_millis(700);
/// Name of a worker at the broker.
const CLIENT_NAME: &str = "scenario-worker serve";
/// What to do where the port is taken.
const HOW_TO_BIND: &str = "choose another address with the variable SCENARIO_WORKER__HTTP__BIND, such as 127.0.0.1:9465 (port 0 is a free one)";
/// How long requests to the health server may go on when the worker has stopped.
const HEALTH_GRACE: Duration = Duration::from_secs(2);

/// Runs the worker until it is told to stop.
pub(super) async fn run(layers: &Layers, options: ServeOptions) -> Result<Finished, CliError> {
    let concurrency = options.concurrency.map(|runs| runs.to_string());
    let settings = layers.settings_with([("worker.concurrency", concurrency)])?;
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
    let connection = connect(settings, &metrics).await?;
    let listener = listen(settings).await?;
    let (service, endpoints) =
        Box::pin(wiring::service(settings, &definitions, &connection, &metrics)).await?;
    announce(settings, &listener)?;
    let health = Health { connection, store: store.clone(), metrics, stop: stop.clone() };
    let ended = CancellationToken::new();
    let stopped = ended.clone();
    let working = Box::pin(service.run(endpoints, stop)).inspect(|_| stopped.cancel());
    let (worked, served) = tokio::join!(working, serve_health_until(listener, health, ended));
    store.close().await;
    worked.map_err(|error| CliError::out_of_reach(&error))?;
    served.map_err(|error| CliError::refused(format!("the health server failed: {error}")))?;
    tracing::info!("the worker has stopped");
    Ok(Finished::Well)
}

/// Worker and broker may be started in any order: the worker waits a while for its broker.
async fn connect(settings: &Settings, metrics: &Metrics) -> Result<Connection, CliError> {
    let pauses =
        ConstantBuilder::default().with_delay(BROKER_RETRY).with_jitter().with_max_times(BROKER_RETRIES);
    let connecting = (|| connect_to(&settings.nats, CLIENT_NAME))
        .retry(pauses)
        .when(ConnectError::may_pass)
        .notify(|error, pause| tracing::warn!(error = %chain(error), ?pause, "the broker is not there yet; trying again"));
    let connection = connecting.await.map_err(|error| CliError::out_of_reach(&error))?;
    let denials = connection.denials.clone();
    metrics.observe_permission_denials(move || denials.count());
    let burials = connection.burials.clone();
    metrics.observe_dead_letters(move || burials.counts());
    Ok(connection)
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
    let failed = |error| {
        CliError::refused(format!(
            "`http.bind` is {bind}, which cannot be listened on: {error}; {HOW_TO_BIND}"
        ))
    };
    TcpListener::bind(bind).await.map_err(failed)
}

/// Serves health and metrics until `ended` fires. Whoever is in the middle of a request then has a little time: a
/// client that never finishes must not hold up the exit.
async fn serve_health_until(
    listener: TcpListener,
    health: Health,
    ended: CancellationToken,
) -> std::io::Result<()> {
    let late = async {
        ended.cancelled().await;
        tokio::time::sleep(HEALTH_GRACE).await;
    };
    tokio::select! {
        served = serve_health(listener, health, ended.clone()) => served,
        () = late => {
            tracing::info!("a request to the health server is cut off: it did not end in time");
            Ok(())
        }
    }
}

/// The first signal stops gracefully; the second one at once.
fn stop_on_signals(stop: CancellationToken) -> Result<(), CliError> {
    let mut signals = StopSignals::listen()?;
    tokio::spawn(async move {
        signals.received().await;
        tracing::info!("told to stop; a second signal stops at once");
        stop.cancel();
        signals.received().await;
        say("stopped at once; runs under way are delivered to another worker");
        std::process::exit(StopSignal::Interrupt.exit_code().into());
    });
    Ok(())
}
