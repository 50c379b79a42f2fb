//! Where ports meet their implementations. Nothing else in the crate names both sides.

use std::sync::Arc;

use super::error::{CliError, chain};
use crate::adapters::{HttpAgentFactory, PromptFactory, Registry};
use crate::execution::orchestrator::Orchestrator;
use crate::execution::planner::{PlanDefaults, Planner};
use crate::execution::ports::{RunTracers, SystemClock};
use crate::http_client;
use crate::models::Factory;
use crate::queue::connection::{self, Connection};
use crate::queue::scheduler::Scheduler;
use crate::settings::Settings;
use crate::store::Store;

/// The store and everything that reads definitions from it.
pub(super) struct Definitions {
    /// The store.
    pub(super) store: Store,
    /// Every target type that there is.
    pub(super) targets: Arc<Registry>,
    /// Resolves requests.
    pub(super) planner: Planner,
}

impl Definitions {
    /// Opens the store, brings its tables up to date, and wires what reads from it.
    pub(super) async fn open(settings: &Settings) -> Result<Self, CliError> {
        let store = Store::open(&settings.store.url).await.map_err(|error| CliError::out_of_reach(&error))?;
        store.migrate().await.map_err(|error| CliError::out_of_reach(&error))?;
        let shared = Arc::new(store.clone());
        let client = http_client::builder().build().map_err(CliError::refused)?;
        let models = Arc::new(Factory::new(shared.clone(), client.clone()));
        let targets = Arc::new(
            Registry::default()
                .with(PromptFactory::new(shared.clone(), models.clone()))
                .with(HttpAgentFactory::new(shared.clone(), shared.clone(), client)),
        );
        let defaults = PlanDefaults {
            max_turns: settings.run.max_turns,
            timeout: settings.run.timeout(),
            model: settings.run.default_model.clone(),
        };
        let planner = Planner { scenarios: shared.clone(), projects: shared, models, targets: targets.clone(), defaults };
        Ok(Self { store, targets, planner })
    }

    /// Plays runs with these definitions.
    pub(super) fn orchestrator(&self, tracers: Arc<dyn RunTracers>) -> Orchestrator {
        Orchestrator { planner: self.planner.clone(), tracers, clock: Arc::new(SystemClock) }
    }

    /// Schedules runs of these definitions.
    pub(super) fn scheduler(&self, connection: &Connection, settings: &Settings) -> Result<Scheduler, CliError> {
        let set = crate::events::SetId::parse(settings.run.default_set_id.clone()).map_err(CliError::refused)?;
        Ok(Scheduler::new(connection, Arc::new(self.planner.clone()), set))
    }
}

/// Connects to the broker.
pub(super) async fn connect(settings: &Settings, name: &str) -> Result<Connection, CliError> {
    connection::connect(&settings.nats, name).await.map_err(|error| CliError::OutOfReach(chain(&error)))
}
