//! The exporters of the worker's own spans and metrics.
//!
//! These read `OTEL_*` variables, as operators expect of a service. A run's spans never pass here.
#![expect(clippy::disallowed_types, reason = "the exporters of the worker's own plane are these two")]

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use percent_encoding::percent_decode_str;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::telemetry::SCHEMA_URL;

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
    let (base, headers) = credentials_apart(base);
    let builder = SpanExporter::builder().with_http().with_headers(headers);
    let exporter = builder.with_endpoint(url(&base, "/v1/traces")).build()?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

/// A provider that posts metrics from time to time from a thread of its own.
pub(super) fn metrics(base: &str) -> Result<MeterProviderBuilder, ExporterBuildError> {
    let (base, headers) = credentials_apart(base);
    let builder = MetricExporter::builder().with_http().with_headers(headers);
    let exporter = builder.with_endpoint(url(&base, "/v1/metrics")).build()?;
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
    let scope = InstrumentationScope::builder(SERVICE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build();
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer_with_scope(scope))
        .with_context_activation(false)
        .with_filter(filter)
}

/// The exporters write down the URL that they post to, so its user and password become the header that they mean.
fn credentials_apart(base: &str) -> (String, HashMap<String, String>) {
    let parsed = Url::parse(base).ok().filter(|url| url.authority().contains('@'));
    let Some(mut url) = parsed else { return (base.to_owned(), HashMap::new()) };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    // Neither fails for a URL that has them.
    let removed = url.set_username("").and_then(|()| url.set_password(None));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
    let headers = removed.map(|()| HashMap::from([(AUTHORIZATION.to_string(), basic)]));
    (url.to_string(), headers.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_and_the_password_of_a_url_become_a_header() {
        let (base, headers) = credentials_apart("https://me:pa%3Ass@collector.example/otlp/");
        assert_eq!(url(&base, "/v1/traces"), "https://collector.example/otlp/v1/traces");
        assert_eq!(headers["authorization"], "Basic bWU6cGE6c3M=");
        let plain = "http://127.0.0.1:4318";
        assert_eq!(credentials_apart(plain), (plain.to_owned(), HashMap::new()));
    }
}
