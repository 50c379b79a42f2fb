//! Tests of `telemetry`: what a run's endpoint receives, what its outcome says of it, and that nothing leaks.

mod attributes;
mod delivery;
mod exposition;
mod ingress;
mod isolation;
mod lifecycle;
mod play;
mod receipts;
