//! Where the targets of runs send spans of their own: OTLP over HTTP, in protobuf or JSON.
//!
//! A trace id says which run spans are for. Any worker may be asked, also one that does not play the run: it hands the
//! spans to the one that does, by way of [`Elsewhere`]. Spans of a trace that no worker plays are refused and counted.
//! Nothing of them is logged, and none of them gets into the worker's own telemetry.

mod answer;
mod body;
mod bundle;
mod handler;
mod hub;
mod reception;
mod room;
mod routing;
mod server;
mod weight;

pub use bundle::{Bundle, Group, TraceKey};
pub use hub::{Hub, Recipient, Registration, TraceChange};
pub use reception::{Reception, Refusal};
pub use routing::{Elsewhere, Routing};
pub use server::Ingress;
