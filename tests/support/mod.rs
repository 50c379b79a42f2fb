//! Real servers and doubles that the tests share.

pub(crate) mod http_agent;
pub(crate) mod spans;
