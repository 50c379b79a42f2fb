//! One delivery from claim to settlement, many at once.

mod conclusion;
mod endpoints;
mod given_up;
mod health;
mod history;
mod intake;
mod journal;
mod processor;
mod readiness;
mod service;
mod sink;
mod spooled;
mod stopping;

pub use endpoints::{Endpoints, EndpointsError, Listening};
pub use given_up::GivenUp;
pub use health::{Health, serve as serve_health};
pub use history::{History, HistoryParts, Pruning};
pub use processor::{Processor, ProcessorParts};
pub use readiness::{Lookout, Obstacle, Readiness};
pub use service::{LONGEST_STOP_AFTER_DRAIN, Service, ServiceError};
pub use sink::{Sink, SinkParts};
pub use spooled::{Resting, SpoolSender};
