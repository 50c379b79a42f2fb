//! The built program as a stranger meets it: real nats-server, SQLite, sockets; plain NATS in, plain NATS out.

mod commands;
mod demo;
mod lives;
mod refusals;
mod strangers;
mod terminals;
