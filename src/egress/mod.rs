//! The way out: every call that a run makes goes through here, and only to where it may go.
//!
//! A name is resolved once, its addresses are checked, and the connection is made to just those addresses; so a name
//! server that answers differently the second time gains nothing. An address that stands in a URL is never resolved, so
//! it is checked where the URL is. Redirects are followed here, hop by hop, or not at all.

mod address;
mod client;
mod connection;
mod http_date;
mod journey;
mod policy;
mod redirect;
mod resolver;
mod retry_after;
mod tls;

pub use address::{Refusal, Region};
pub use client::{Client, ClientError, Redirects};
pub use http_date::http_date;
pub use journey::{Journey, OnHop};
pub use policy::{EgressPolicy, InvalidHost, Refused};
pub use retry_after::retry_after;
pub use tls::{TlsError, TlsMaterial};
