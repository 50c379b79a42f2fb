//! Everything that the demo runs: broker, store, agent, OTLP receiver, worker. All of it on free loopback ports.

use std::collections::HashMap;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::agent;
use super::backstage::Backstage;
use super::traces::Traces;
use crate::cli::error::CliError;
use crate::cli::wiring::{self, Definitions};
use crate::queue::{Connection, Scheduler, topology};
use crate::settings::Settings;
use crate::store::ImportMode;
use crate::store::files::{SourceFile, parse};
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::Metrics;
use crate::worker::ServiceError;

/// The demo's definitions.
const DEFINITIONS: &str = include_str!("../../../config/demo.yaml");
/// What they are called in messages.
const DEFINITIONS_NAME: &str = "config/demo.yaml";
/// Name of the demo's worker at the broker.
const CLIENT_NAME: &str = "scenario-worker demo";

/// The demo's servers and worker.
pub(super) struct Stage {
    /// Where everything is.
    pub(super) settings: Settings,
    /// The client's way to the broker.
    pub(super) connection: Connection,
    /// Schedules runs.
    pub(super) scheduler: Scheduler,
    /// What the tenant's endpoint received.
    pub(super) traces: Traces,
    worker: JoinHandle<Result<(), ServiceError>>,
    stop: CancellationToken,
}

impl Stage {
    /// Starts everything, and imports the definitions.
    #[expect(clippy::too_many_lines, reason = "one step a line")]
    pub(super) async fn set(backstage: &mut Backstage) -> Result<Self, CliError> {
        let settings = backstage.settings().await?;
        let traces = Traces::default();
        let definitions = Definitions::open(&settings).await?;
        import(&definitions, &serve(agent::router()).await?, &serve(traces.router()).await?).await?;
        let connection = wiring::connect(&settings, CLIENT_NAME).await?;
        let metrics = Metrics::new().map_err(CliError::refused)?;
        let topology =
            topology::ensure(&connection, &settings).await.map_err(|error| wiring::unfit(&error))?;
        let (service, endpoints) = Box::pin(wiring::service(
            &settings,
            &definitions,
            &connection,
            &topology,
            &Hub::default(),
            &metrics,
        ))
        .await?;
        let (worker, stop) = backstage.run(|stop| service.run(endpoints, stop));
        let scheduler = definitions.scheduler(&connection, &settings)?;
        Ok(Self { settings, connection, scheduler, traces, worker, stop })
    }

    /// Stops the worker, and says how it ended.
    pub(super) async fn strike(self) -> Result<(), CliError> {
        self.stop.cancel();
        let ended = self.worker.await.map_err(CliError::refused)?;
        ended.map_err(|error| CliError::out_of_reach(&error))
    }
}

async fn import(definitions: &Definitions, agent_url: &str, otlp_url: &str) -> Result<(), CliError> {
    let variables = HashMap::from([("DEMO_AGENT_URL", agent_url), ("DEMO_OTLP_URL", otlp_url)]);
    let lookup = |name: &str| variables.get(name).map(ToString::to_string);
    let file = SourceFile { name: DEFINITIONS_NAME.to_owned(), text: DEFINITIONS.to_owned() };
    let documents = parse(&[file], &lookup).map_err(CliError::refused)?;
    let imported =
        definitions.store.import(&documents, ImportMode::default(), definitions.targets.as_ref()).await;
    imported.map(drop).map_err(CliError::refused)
}

/// Serves `router` on a free loopback port for the rest of the process's life.
async fn serve(router: Router) -> Result<String, CliError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(CliError::refused)?;
    let address = listener.local_addr().map_err(CliError::refused)?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "a server of the demo stopped");
        }
    });
    Ok(format!("http://{address}"))
}
