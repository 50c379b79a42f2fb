//! Real servers and doubles that the tests share.

pub(crate) mod otlp_receiver;
