//! Two planes of telemetry that never meet.
//!
//! The worker's own plane ([`worker`], [`metrics`]) is the ordinary global `tracing` stack. The run plane ([`run`],
//! [`export`], [`spool`]) makes one isolated trace per run with the OpenTelemetry SDK and sends it to the tenant's endpoint; it
//! reads no global, no thread-local context and no `OTEL_*` variable. The only thing that both use is a [`metrics::Metrics`]
//! handle, which carries counts. [`sink`] tells LangWatch of runs as they happen, from their events. [`ingress`]
//! takes the spans that the targets of runs send themselves; [`receiver`] is a tenant's end of the wire, for the demo and for
//! tests.

pub mod export;
pub mod ingress;
pub mod metrics;
pub mod propagation;
pub mod receiver;
pub mod run;
pub mod sink;
pub mod spool;
pub mod worker;

/// The version of OpenTelemetry's semantic conventions whose names spans have: the last one with generative AI in it.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";
