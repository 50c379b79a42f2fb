//! Real servers and doubles that the tests share.

pub(crate) mod database;
pub(crate) mod egress;
pub(crate) mod exposition;
pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod http_agent;
pub(crate) mod judge;
pub(crate) mod limits;
pub(crate) mod nats;
pub(crate) mod nats_operator;
pub(crate) mod openai;
pub(crate) mod otlp_receiver;
pub(crate) mod platform;
pub(crate) mod play;
pub(crate) mod postgres;
pub(crate) mod protocols;
pub(crate) mod pty;
pub(crate) mod raw_nats;
pub(crate) mod schemas;
pub(crate) mod shop;
pub(crate) mod span_spool;
pub(crate) mod spans;
pub(crate) mod tls;
pub(crate) mod tracing_agent;
pub(crate) mod worker;
