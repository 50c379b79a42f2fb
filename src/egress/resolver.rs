//! Names to addresses that may be called. The connection is made to just those.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::EgressPolicy;

/// Port that stands for none: whoever connects puts its own in.
const NO_PORT: u16 = 0;

/// Resolves names by the system and checks every address that comes of it.
pub(super) struct Resolver {
    pub(super) policy: Arc<EgressPolicy>,
    /// The host of the configured proxy, which is the operator's choice and not a run's.
    pub(super) proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), NO_PORT)).await?.collect();
            // One address that is closed closes the name: which of them is tried first is nobody's choice here.
            if !is_proxy {
                for address in &found {
                    policy.check_resolved(name.as_str(), address.ip())?;
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
