//! Tests of `telemetry`.
