//! The receiver of targets' spans, as `serve` runs it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::error::{CliError, chain};
use crate::definitions::Secret;
use crate::queue::{Connection, Listener, Neighbours};
use crate::settings::Settings;
use crate::telemetry::ingress::{Hub, Ingress, Routing};
use crate::telemetry::metrics::Metrics;

/// What to do where the port is taken.
const HOW_TO_BIND: &str =
    "choose another address with the variable SCENARIO_WORKER__TELEMETRY__RECEIVER__BIND";

/// The socket on which spans are taken; `None` if none are.
pub(super) struct Receiver {
    listener: Option<TcpListener>,
    /// What senders have to have; `None` if nothing.
    token: Option<Secret>,
    /// The runs of this worker.
    pub(super) hub: Hub,
}

impl Receiver {
    /// Listens if the settings say so; connections wait until somebody serves them.
    pub(super) async fn open(settings: &Settings) -> Result<Self, CliError> {
        let settings = &settings.telemetry.receiver;
        let Some(bind) = settings.bind else {
            return Ok(Self { listener: None, token: None, hub: Hub::default() });
        };
        let token = settings.token().map(|source| source.read()).transpose();
        let token = token.map_err(|error| CliError::refused(chain(&error)))?;
        let listener = Some(listen(bind, token.is_some()).await?);
        Ok(Self { listener, token, hub: Hub::default() })
    }

    /// Takes spans for the runs of this worker, and of others by way of `connection`. It ends with `stop`; where nothing is
    /// taken, never.
    pub(super) async fn serve(self, connection: Connection, metrics: Metrics, stop: CancellationToken) {
        let Some(listener) = self.listener else { return std::future::pending().await };
        let elsewhere = Arc::new(Neighbours::new(&connection));
        let routing = Routing { hub: self.hub.clone(), elsewhere };
        let ingress = Ingress::new(routing, self.token, metrics);
        tokio::join!(ingress.serve(listener, stop), Listener::new(&connection, self.hub).run());
    }
}

async fn listen(bind: SocketAddr, has_token: bool) -> Result<TcpListener, CliError> {
    let failed = |error| {
        CliError::refused(format!(
            "`telemetry.receiver.bind` is {bind}, which cannot be listened on: {error}; {HOW_TO_BIND}"
        ))
    };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(CliError::refused)?;
    tracing::info!(%address, "spans of targets are taken");
    if !has_token && !address.ip().is_loopback() {
        tracing::warn!(%address, "whoever reaches this address and knows a run's trace id can send spans for it; set `telemetry.receiver.token_file`");
    }
    Ok(listener)
}
