//! Sending spans over OTLP/HTTP: protobuf, gzip, one shared client, a typed error for everything that can go wrong.
//!
//! Nothing here reads `OTEL_*` variables, so no variable can redirect a tenant's spans or add a header to them.

mod acceptance;
mod destination;
mod error;
mod lanes;
mod payload;
mod response;
mod retry;
mod sender;

pub use destination::{Destination, InvalidDestination};
pub use error::ExportError;
pub(in crate::telemetry) use error::{STATUS_TOO_LARGE, said};
pub use payload::{MAX_REQUEST_BYTES, Packed, ResourceEnvelope, SpanEnvelope};
pub(in crate::telemetry) use payload::{SPAN_FRAMING_BYTES, compress, unwrapped};
pub(in crate::telemetry) use response::{quote, read};
pub(in crate::telemetry) use sender::{AGENT, Attempts};
pub use sender::{Accepted, OtlpSender};
