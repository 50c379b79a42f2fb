//! The run plane: one isolated trace per run.
//!
//! Each run has a tracer provider of its own that ends its spans into a bounded buffer; no exporter, thread, global or
//! thread-local context is involved. Parents are always passed explicitly, so neither the worker's spans nor another
//! run's can get in, and nothing of a run gets out but through its own [`crate::telemetry::export`] destination.

mod account;
mod attributes;
mod batch;
mod buffer;
mod content;
mod delivery;
mod describe;
mod factory;
mod fitting;
mod identity;
mod inbox;
mod recorder;
mod span;
mod spooling;
mod steps;
mod trace;

pub use content::{MAX_MESSAGES_BYTES, MAX_TEXT_BYTES};
pub use delivery::LAST_DELIVERY;
pub use factory::RunTracerFactory;
pub use fitting::{CUT_TEXT_BYTES, MAX_SPAN_BYTES};
pub use identity::trace_id;
