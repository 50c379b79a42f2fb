//! `serve`: the worker, from its settings to its graceful stop.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arguments::{Layers, ServeOptions};
use super::error::{CliError, Finished, chain};
use super::receiving::Receiver;
use super::signals::{StopSignal, StopSignals};
use super::terminal::say;
use super::wiring::{self, Definitions};
use crate::queue::{Backlog, ConnectError, Connection, TopologyError, connect as connect_to, topology};
use crate::settings::Settings;
use crate::store::Store;
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::{ConsumerMetric, Metrics};
use crate::telemetry::worker::{self, WorkerTelemetryOptions};
use crate::worker::{
    Health, LONGEST_STOP_AFTER_DRAIN, Listening, Lookout, Obstacle, Readiness, Service, serve_health,
};

/// How long a worker that starts waits for its broker, and about how long for the next attempt.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_secs(1);
/// Which part of the pause it really is: a fleet that starts does not knock in one moment.
const START_JITTER: RangeInclusive<f64> = 0.5..=1.0;
/// Name of a worker at the broker.
const CLIENT_NAME: &str = "scenario-worker serve";
/// What to do where the port is taken.
const HOW_TO_BIND: &str = "choose another address with the variable SCENARIO_WORKER__HTTP__BIND, such as 127.0.0.1:9465 (port 0 is a free one)";
/// How long requests to the health server may go on when the worker has stopped.
const HEALTH_GRACE: Duration = Duration::from_secs(2);
/// How long lookups in the database may go on then.
const STORE_GRACE: Duration = Duration::from_secs(2);

/// Runs the worker until it is told to stop.
pub(super) async fn run(layers: &Layers, options: ServeOptions) -> Result<Finished, CliError> {
    let concurrency = options.concurrency.map(|runs| runs.to_string());
    let settings = layers.settings_with([("worker.concurrency", concurrency)])?;
    let otlp_endpoint = settings.telemetry.worker.otlp_endpoint.clone();
    let log_format = settings.log.format;
    let options = WorkerTelemetryOptions { otlp_endpoint, log_format, ..WorkerTelemetryOptions::default() };
    let telemetry = worker::init(&options).map_err(|error| CliError::refused(chain(&error)))?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone(), longest_stop(&settings))?;
    let result = Box::pin(work(&settings, &telemetry.metrics(), stop)).await;
    telemetry.shutdown().await;
    result
}

async fn work(settings: &Settings, metrics: &Metrics, stop: CancellationToken) -> Result<Finished, CliError> {
    let definitions = Definitions::open_existing(settings).await?;
    let listener = listen(settings).await?;
    let address = listener.local_addr().map_err(CliError::refused)?;
    let receiver = Receiver::open(settings).await?;
    tracing::info!(%address, "health and metrics are served");
    let (readiness, ended) = (Readiness::default(), CancellationToken::new());
    let health = Health { readiness: readiness.clone(), metrics: metrics.clone(), stop: stop.clone() };
    let watched = health.clone();
    metrics.observe_readiness(move || watched.is_ready());
    let (hub, stopped) = (receiver.hub.clone(), ended.clone());
    let life = Life { settings, metrics, definitions: &definitions, readiness, address, hub };
    let working = Box::pin(life.live(receiver, stop)).inspect(|_| stopped.cancel());
    let (worked, served) = tokio::join!(working, serve_health_until(listener, health, ended));
    close(&definitions.store).await;
    worked?;
    served.map_err(|error| CliError::refused(format!("the health server failed: {error}")))?;
    tracing::info!("the worker has stopped");
    Ok(Finished::Well)
}

/// A worker from its first look for the broker to its end.
struct Life<'a> {
    settings: &'a Settings,
    metrics: &'a Metrics,
    definitions: &'a Definitions,
    readiness: Readiness,
    address: SocketAddr,
    /// Where spans of targets come in.
    hub: Hub,
}

impl Life<'_> {
    /// Nothing is under way while it starts, so it may be stopped at once then.
    async fn live(&self, receiver: Receiver, stop: CancellationToken) -> Result<(), CliError> {
        let Some(started) = stop.run_until_cancelled(Box::pin(self.start())).await else {
            tracing::info!("the worker stops before it has taken any request");
            return Ok(());
        };
        let (service, endpoints, lookout) = started?;
        self.announce();
        let (connection, metrics) = (lookout.connection.clone(), self.metrics.clone());
        // It is there for as long as runs are, also while the worker drains.
        let receiving = receiver.serve(connection, metrics, CancellationToken::new());
        tokio::select! {
            ran = Box::pin(service.run(endpoints, stop)) => ran.map_err(|error| CliError::out_of_reach(&error)),
            never = lookout.run() => match never {},
            () = receiving => Ok(()),
        }
    }

    /// Worker, broker and the broker's cluster may be started in any order: the worker waits a while for them.
    async fn start(&self) -> Result<(Service, Listening, Lookout), CliError> {
        let until = Instant::now() + START_PATIENCE;
        let connecting = || connect_to(&self.settings.nats, CLIENT_NAME);
        let connection = self.patiently(until, ConnectError::may_pass, connecting).await;
        let connection = connection.map_err(|error| wiring::unconnected(&error))?;
        self.observe(&connection);
        let ensuring = || topology::ensure(&connection, self.settings);
        let topology = self.patiently(until, TopologyError::may_pass, ensuring).await;
        let topology = topology.map_err(|error| wiring::unfit(&error))?;
        let wired =
            wiring::service(self.settings, self.definitions, &connection, &topology, &self.hub, self.metrics);
        let (service, endpoints) = Box::pin(wired).await?;
        let (readiness, store) = (self.readiness.clone(), self.definitions.store.clone());
        let requests = service.consumer.clone();
        let lookout = Lookout { readiness, connection, requests, store, noticed: AtomicBool::default() };
        lookout.look().await;
        Ok((service, endpoints, lookout))
    }

    /// Attempts until it goes well, goes wrong for good, or it is too late. Readiness says what is missing meanwhile.
    async fn patiently<T, E: std::error::Error, F: Future<Output = Result<T, E>>>(
        &self,
        until: Instant,
        may_pass: impl Fn(&E) -> bool,
        attempt: impl Fn() -> F,
    ) -> Result<T, E> {
        loop {
            let error = match attempt().await {
                Ok(there) => return Ok(there),
                Err(error) => error,
            };
            if !may_pass(&error) || Instant::now() + START_PAUSE >= until {
                return Err(error);
            }
            self.readiness.replace(vec![Obstacle::broker(&error)]);
            tokio::time::sleep(START_PAUSE.mul_f64(rand::random_range(START_JITTER))).await;
        }
    }

    fn observe(&self, connection: &Connection) {
        self.readiness.connected(connection);
        let denials = connection.denials.clone();
        self.metrics.observe_permission_denials(move || denials.count());
        let burials = connection.burials.clone();
        self.metrics.observe_dead_letters(move || burials.counts());
        let misses = connection.lease_misses.clone();
        self.metrics.observe_lease_misses(move || misses.count());
        let readiness = self.readiness.clone();
        self.metrics.observe_consumer(move || readiness.backlog().map(consumer_metric));
    }

    fn announce(&self) {
        let (concurrency, durable) = (self.settings.worker.concurrency, &self.settings.consumer.durable);
        tracing::info!(concurrency, consumer = %durable, health = %self.address, "the worker takes requests");
    }
}

fn consumer_metric(backlog: Backlog) -> ConsumerMetric {
    let Backlog { pending, ack_pending, redelivered, waiting_pulls } = backlog;
    ConsumerMetric { pending, ack_pending, redelivered, waiting_pulls }
}

/// A lookup that hangs must not hold up the exit.
async fn close(store: &Store) {
    if tokio::time::timeout(STORE_GRACE, store.close()).await.is_err() {
        tracing::info!("connections to the database are cut off: they did not end in time");
    }
}

/// How long the worker may take from the signal to its exit, whoever does not answer meanwhile.
fn longest_stop(settings: &Settings) -> Duration {
    settings.worker.drain() + LONGEST_STOP_AFTER_DRAIN + HEALTH_GRACE + STORE_GRACE + worker::SHUTDOWN_TIMEOUT
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
fn stop_on_signals(stop: CancellationToken, at_most: Duration) -> Result<(), CliError> {
    let mut signals = StopSignals::listen()?;
    tokio::spawn(async move {
        signals.received().await;
        tracing::info!(at_most_seconds = at_most.as_secs(), "told to stop; a second signal stops at once");
        stop.cancel();
        signals.received().await;
        say("stopped at once; runs under way are delivered to another worker");
        std::process::exit(StopSignal::Interrupt.exit_code().into());
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = include_str!("../../deploy/compose.yaml");
    const DEPLOYMENT: &str = include_str!("../../deploy/kubernetes/base/deployment.yaml");
    const README: &str = include_str!("../../README.md");

    /// The whole seconds between `before` and `after`.
    fn seconds(text: &str, before: &str, after: &str) -> Duration {
        let rest = text.split_once(before).unwrap_or_else(|| panic!("'{before}' is not there")).1;
        Duration::from_secs(rest.split_once(after).unwrap().0.trim().parse().unwrap())
    }

    #[test]
    fn whoever_stops_a_worker_waits_for_longer_than_it_may_take() {
        let settings = Settings::default();
        let longest = longest_stop(&settings);
        let grace = seconds(COMPOSE, "stop_grace_period:", "s\n");
        assert!(grace > longest, "compose waits {grace:?}, a stop may take {longest:?}");
        let grace = seconds(DEPLOYMENT, "terminationGracePeriodSeconds:", "\n");
        assert!(grace > longest, "Kubernetes waits {grace:?}, a stop may take {longest:?}");
        let promised = settings.worker.drain() + seconds(README, "exits at the latest", " s after");
        assert!(promised >= longest, "the README promises {promised:?}, a stop may take {longest:?}");
    }
}
