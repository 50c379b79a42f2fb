//! Clients by how long making a connection may take, which is a setting of a client and not of a request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::egress::Client;
use crate::execution::failure::Unavailable;
use crate::http_client::{self, CONNECT_TIMEOUT};

/// The most clients that are kept: each has connections of its own.
const MOST_CLIENTS: usize = 32;

/// The clients of all HTTP agents.
pub(super) struct Connections {
    usual: Client,
    others: Mutex<HashMap<Duration, Client>>,
}

impl Connections {
    /// Only the usual client so far.
    pub(super) fn new(usual: Client) -> Self {
        Self { usual, others: Mutex::default() }
    }

    /// A client that makes connections within `limit`.
    pub(super) fn made_within(&self, limit: Duration) -> Result<Client, Unavailable> {
        if limit == CONNECT_TIMEOUT {
            return Ok(self.usual.clone());
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(&limit) {
            return Ok(client.clone());
        }
        let builder = http_client::builder().connect_timeout(limit);
        let client =
            self.usual.over(builder).map_err(|error| Unavailable::new("making an HTTP client", error))?;
        if others.len() < MOST_CLIENTS {
            others.insert(limit, client.clone());
        }
        Ok(client)
    }
}
