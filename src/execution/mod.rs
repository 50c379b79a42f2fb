//! Playing a run: what is said, by whom, and what it comes to.
//!
//! This room knows the wire's vocabulary (`events`), the definitions, and its own [`ports`]. Brokers,
//! databases and network protocols are behind the ports.

pub mod cassette;
mod casting;
pub mod chat;
pub mod checks;
mod envelope;
pub mod failure;
pub mod history;
pub mod limits;
pub mod metering;
pub mod orchestrator;
mod outcome;
pub mod parameters;
pub mod planner;
pub mod ports;
pub mod rejudging;
mod sessions;
pub mod signals;
mod simulation;
mod supervision;
pub mod types;
