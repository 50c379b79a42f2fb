//! What the process opens to the world: calls to the outside, its log, its own address.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

const HTTP_BIND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// What runs may reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSettings {
    /// Whether targets, models and endpoints may be in private networks.
    pub allow_private_networks: bool,
    /// Hosts that may be in private networks whatever is said of those.
    pub allowed_hosts: Vec<String>,
    /// The proxy through which they are called.
    pub proxy: Option<String>,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The worker's log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// What a line looks like.
    pub format: LogFormat,
}

/// The health and metrics server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens.
    pub bind: SocketAddr,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self { allow_private_networks: true, allowed_hosts: Vec::new(), proxy: None }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { bind: HTTP_BIND }
    }
}
