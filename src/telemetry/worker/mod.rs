//! The worker's own plane: logs to stderr, and traces and metrics to an OTLP endpoint where one is configured.
//!
//! This is the ordinary global `tracing` stack. It never sees a run's spans: those are not made with `tracing`.

mod exporters;
mod json;
mod log;
mod relayed;

use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::task::JoinHandle;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use self::log::TRACES_ONLY;
use super::metrics::{Metrics, MetricsError};
use crate::settings::LogFormat;

/// How long traces and metrics may take for their last export.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the worker tells about itself, and where.
#[derive(Debug, Clone)]
pub struct WorkerTelemetryOptions {
    /// An OTLP/HTTP base, to which `/v1/traces` and `/v1/metrics` are appended. `None` exports nothing.
    pub otlp_endpoint: Option<String>,
    /// The most detailed level of spans that are exported.
    pub span_level: LevelFilter,
    /// What a line of the log looks like.
    pub log_format: LogFormat,
}

impl Default for WorkerTelemetryOptions {
    fn default() -> Self {
        Self { otlp_endpoint: None, span_level: LevelFilter::INFO, log_format: LogFormat::Text }
    }
}

/// The worker's telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerTelemetryError {
    /// The log filter cannot be read.
    #[error(
        "the log filter of {variable} is '{value}', which cannot be read; expected something like 'info,async_nats=debug'"
    )]
    Filter {
        /// The variable that it is from.
        variable: &'static str,
        /// The filter.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporters for the worker's own OTLP endpoint cannot be built.
    #[error("the exporters for `telemetry.worker.otlp_endpoint` cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Something in this process logs already.
    #[error("the process has a `tracing` subscriber already")]
    Subscriber(#[from] TryInitError),
}

/// The worker's telemetry while it runs.
#[derive(Debug)]
#[must_use = "without a shutdown the last spans and metrics are not exported"]
pub struct WorkerTelemetry {
    metrics: Metrics,
    traces: Option<SdkTracerProvider>,
}

/// Sets up logs, traces and metrics for the whole process.
///
/// # Errors
/// [`WorkerTelemetryError`] if the log filter, an exporter or the process does not allow it.
pub fn init(options: &WorkerTelemetryOptions) -> Result<WorkerTelemetry, WorkerTelemetryError> {
    crate::http_client::install_tls_provider();
    let endpoint = options.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let traces = endpoint.map(exporters::traces).transpose()?;
    let meters = endpoint.map(exporters::metrics).transpose()?.unwrap_or_default();
    let log = log::layer(&log::Environment::read(), options.log_format)?;
    let spans = traces.as_ref().map(|provider| exporters::layer(provider, options.span_level));
    tracing_subscriber::registry().with(log).with(spans).try_init()?;
    if options.log_format == LogFormat::Json {
        log::panics_too();
    }
    Ok(WorkerTelemetry { metrics: Metrics::with_provider(meters)?, traces })
}

/// The line of the log that says `message`, and what to do, where there is no log: before it is set up, and when it is over.
#[must_use]
pub fn json_error(message: &str, hint: Option<&str>) -> String {
    json::error(message, hint)
}

/// Sets up the log of a process that leaves it to its worker: `tell` gets each error and each warning, in one line.
///
/// # Errors
/// [`WorkerTelemetryError`] if something in this process logs already.
pub fn relay_log(tell: impl Fn(Level, String) + Send + Sync + 'static) -> Result<(), WorkerTelemetryError> {
    Ok(tracing_subscriber::registry().with(relayed::Relayed(tell)).try_init()?)
}

impl WorkerTelemetry {
    /// The worker's metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Exports what is left, for [`SHUTDOWN_TIMEOUT`] at most. The SDK blocks while it does, so it gets threads for
    /// blocking work.
    pub async fn shutdown(self) {
        let Self { metrics, traces } = self;
        let traces = tokio::task::spawn_blocking(move || {
            traces.map_or(Ok(()), |traces| traces.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
        });
        let metrics =
            tokio::task::spawn_blocking(move || metrics.provider().shutdown_with_timeout(SHUTDOWN_TIMEOUT));
        tokio::join!(shut_down("traces", traces), shut_down("metrics", metrics));
    }
}

/// The SDK does not keep its time where an exporter hangs.
async fn shut_down(what: &'static str, ending: JoinHandle<OTelSdkResult>) {
    match tokio::time::timeout(SHUTDOWN_TIMEOUT, ending).await {
        Ok(Ok(result)) => report(what, result),
        Ok(Err(error)) => tracing::error!(%error, "the worker's {what} could not be shut down"),
        Err(_) => report(what, Err(OTelSdkError::Timeout(SHUTDOWN_TIMEOUT))),
    }
}

fn report(what: &'static str, result: OTelSdkResult) {
    match result {
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
        Err(error @ OTelSdkError::Timeout(_)) => {
            tracing::warn!(%error, "the last {what} of the worker could not be exported");
        }
        // The SDK has said in the log what went wrong with the export.
        Err(error) => tracing::debug!(%error, "the worker's {what} were not shut down as they should"),
    }
}
