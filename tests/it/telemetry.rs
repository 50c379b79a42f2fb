//! Tests of `telemetry`: what a run's endpoint receives, what its outcome says of it, and that nothing leaks.

mod attributes;
mod courier;
mod delivery;
mod exposition;
mod fairness;
mod ingress;
mod isolation;
mod lifecycle;
mod play;
mod receipts;
