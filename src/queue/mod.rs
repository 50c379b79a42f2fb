//! JetStream: the topology, requests in, events out, run states, cancel marks, dead letters.

pub mod archive;
mod bucket;
pub mod cancellation;
mod cassettes;
pub mod connection;
pub mod consumer;
pub mod dead_letters;
pub mod delivery;
pub mod feed;
pub mod given_up;
pub mod headers;
pub mod lease;
mod objects;
pub mod permissions;
mod poison;
mod publish;
pub mod publisher;
mod pull;
mod retry;
pub mod run_state;
pub mod scheduler;
pub mod topology;

pub use cancellation::{CancelHandle, Cancellations};
pub use cassettes::Cassettes;
pub use connection::{ConnectError, Connection, connect};
pub use consumer::{Consumer, ConsumerError, LONGEST_CLOSE};
pub use dead_letters::{Burials, DeadLetters, Letter, LetterError, Letters, Original, Redriven, Room};
pub use delivery::{Delivery, SettleError};
pub use given_up::{GivenUpRequest, GivenUpRequests};
pub use lease::Lease;
pub use permissions::{Denial, Denials, Forbidden};
pub use publisher::{EventPublisher, PublishError, Published, StoredOutcome};
pub use run_state::{Claim, ClaimedRun, RunPhase, RunState, RunStates};
pub use scheduler::{ScheduleError, Scheduler};
pub use topology::{Topology, TopologyError};
