//! Component and black-box tests, linked once. Real servers and doubles are in `tests/support/`.
#![expect(clippy::too_many_lines, reason = "a test tells one story from start to end")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what cannot go wrong in a test fails it")]

#[path = "../support/mod.rs"]
mod support;

mod adapters;
mod deploy;
mod egress;
mod end_to_end;
mod execution;
mod isolation;
mod models;
mod planes;
mod planning;
mod queue;
mod store;
mod telemetry;
