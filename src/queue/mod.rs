//! JetStream: the topology, requests in, events out, run states, cancel marks, dead letters.

mod bucket;
pub mod cancellation;
pub mod connection;
pub mod consumer;
pub mod dead_letters;
pub mod delivery;
pub mod headers;
pub mod lease;
pub mod publisher;
mod pull;
mod retry;
pub mod run_state;
pub mod scheduler;
pub mod topology;

pub use connection::{ConnectError, Connection, connect};
pub use topology::{Topology, TopologyError};
pub use consumer::{Consumer, ConsumerError};
pub use delivery::{Delivery, SettleError};
pub use lease::Lease;
pub use run_state::{Claim, ClaimedRun, RunPhase, RunState, RunStates};
