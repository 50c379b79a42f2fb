//! Who made a run's spans, and what every one of them says.

use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;

use super::super::attributes as key;
use crate::execution::types::TraceSpec;
use crate::telemetry::SCHEMA_URL;

/// The service as tenants see it.
pub(super) const SERVICE: &str = "scenario-worker";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The instrumentation scope of every span.
pub(in super::super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SERVICE).with_version(VERSION).with_schema_url(SCHEMA_URL).build()
}

/// The resource of a run: begun empty, because the SDK's own builder adds what `OTEL_*` variables and the machine say.
pub(in super::super) fn resource(spec: &TraceSpec) -> Resource {
    let request = &spec.request;
    Resource::builder_empty()
        .with_schema_url(
            [
                KeyValue::new(key::SERVICE_NAME, SERVICE),
                KeyValue::new(key::SERVICE_VERSION, VERSION),
                KeyValue::new(key::LANGWATCH_ORIGIN, key::ORIGIN_SIMULATION),
                KeyValue::new(key::LANGWATCH_ORIGIN_SOURCE, key::ORIGIN_SOURCE_PLATFORM),
                KeyValue::new(key::SCENARIO_PROJECT_ID, request.key.project.to_string()),
                KeyValue::new(key::SCENARIO_ID, request.scenario_id.to_string()),
                KeyValue::new(key::SCENARIO_BATCH_ID, request.batch_run_id.to_string()),
                KeyValue::new(key::SCENARIO_SET_ID, request.set_id.to_string()),
                KeyValue::new(key::SCENARIO_LABELS, strings(&spec.labels)),
            ],
            SCHEMA_URL,
        )
        .build()
}

/// What is on every span of a run.
pub(in super::super) fn common(spec: &TraceSpec) -> Vec<KeyValue> {
    let request = &spec.request;
    vec![
        KeyValue::new(key::LANGWATCH_THREAD_ID, request.key.run.to_string()),
        KeyValue::new(key::SCENARIO_RUN_ID, request.key.run.to_string()),
        KeyValue::new(key::SCENARIO_ID, request.scenario_id.to_string()),
        KeyValue::new(key::SCENARIO_BATCH_ID, request.batch_run_id.to_string()),
        KeyValue::new(key::SCENARIO_SET_ID, request.set_id.to_string()),
    ]
}

pub(super) fn strings(texts: &[String]) -> Value {
    Value::Array(Array::String(texts.iter().cloned().map(StringValue::from).collect()))
}
