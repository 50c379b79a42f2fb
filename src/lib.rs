//! Scenario Worker: the durable runner of AI-agent simulations on NATS JetStream.
//!
//! How a run flows: [`queue`] takes a request from its durable consumer, [`worker`] claims it and hands it to
//! [`execution`], which plays it with a target of [`adapters`] and models of [`models`], both found in the [`store`];
//! [`isolation`] does that in a process of its own where that is asked for; [`telemetry`] keeps its spans apart; [`worker`] publishes the one outcome. [`events`] is the contract on the wire,
//! [`definitions`] what people write in files, [`cli`] wires everything in one place.

pub mod adapters;
pub mod cli;
pub mod definitions;
pub mod egress;
pub mod events;
pub mod execution;
pub mod http_client;
pub mod isolation;
mod json;
pub mod models;
pub mod queue;
mod recent;
mod scrub;
pub mod settings;
pub mod store;
pub mod stream;
pub mod telemetry;
pub mod text;
pub mod worker;
