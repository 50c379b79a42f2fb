//! The exporters of the worker's own spans and metrics.
//!
//! These read `OTEL_*` variables, as operators expect of a service. A run's spans never pass here.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// The service as its operators see it.
const SERVICE: &str = "scenario-worker";
/// The variable with which operators rename the service.
const SERVICE_NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// Targets whose spans would be about exporting spans. Each stands for all that begin with it.
const SILENT_TARGETS: [&str; 8] =
    ["hyper", "h2", "reqwest", "tonic", "tower", "rustls", "opentelemetry", "tracing_opentelemetry"];
/// Targets that have a span for everything they do.
const CHATTY_TARGETS: [(&str, LevelFilter); 2] =
    [("sqlx", LevelFilter::WARN), ("async_nats", LevelFilter::INFO)];

/// A provider that posts spans in batches from a thread of its own.
pub(super) fn traces(base: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_http().with_endpoint(url(base, "/v1/traces")).build()?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

/// A provider that posts metrics from time to time from a thread of its own.
pub(super) fn metrics(base: &str) -> Result<MeterProviderBuilder, ExporterBuildError> {
    let exporter = MetricExporter::builder().with_http().with_endpoint(url(base, "/v1/metrics")).build()?;
    let reader = PeriodicReader::builder(exporter).build();
    Ok(SdkMeterProvider::builder().with_reader(reader).with_resource(resource()))
}

/// Makes the worker's spans of `tracing` spans. It activates no context: a thread's OpenTelemetry context stays empty.
pub(super) fn layer<S>(provider: &SdkTracerProvider, level: LevelFilter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let silent = SILENT_TARGETS.map(|target| (target, LevelFilter::OFF));
    let filter = Targets::new().with_default(level).with_targets(silent).with_targets(CHATTY_TARGETS);
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_context_activation(false)
        .with_filter(filter)
}

fn url(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

fn resource() -> Resource {
    let builder = Resource::builder();
    match std::env::var_os(SERVICE_NAME_VARIABLE) {
        Some(_) => builder.build(),
        None => builder.with_service_name(SERVICE).build(),
    }
}
