//! The built program as a stranger meets it: real nats-server, SQLite, sockets; plain NATS in, plain NATS out.

mod canaries;
mod cancelling;
mod checks;
mod commands;
mod dead_letters;
mod demo;
mod examples;
mod health;
mod histories;
mod keys;
mod leaks;
mod limits;
mod lives;
mod matrices;
mod observed;
mod parameters;
mod permissions;
mod play;
mod processes;
mod propagation;
mod readiness;
mod received;
mod refusals;
mod replays;
mod security;
mod service;
mod sessions;
mod sinks;
mod spooling;
mod stops;
mod strangers;
mod takeovers;
mod terminals;
mod wire;

pub(crate) use play::{assert_nothing_was_denied, play};
pub(crate) use strangers::{offline, publish, request};
