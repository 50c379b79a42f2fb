//! Two planes of telemetry that never meet: each run's own, and the worker's own.
