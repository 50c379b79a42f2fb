//! The definition of one consumer, for whoever finds it gone later.

use std::fmt;
use std::sync::Arc;

use super::apply::Applier;
use super::spec::ConsumerSpec;
use super::{Connection, TopologyError};
use crate::settings::Settings;

/// What a consumer is to be like, and whether this program may bring that about.
#[derive(Clone)]
pub(in crate::queue) struct ConsumerDefinition {
    connection: Connection,
    spec: Arc<ConsumerSpec>,
    manage: bool,
}

impl fmt::Debug for ConsumerDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerDefinition").field("consumer", &self.spec.name).finish_non_exhaustive()
    }
}

impl ConsumerDefinition {
    /// Of the consumer of the events, for platforms that are told of them.
    pub(in crate::queue) fn sink(connection: &Connection, settings: &Settings) -> Self {
        Self::new(connection, settings, ConsumerSpec::sink(settings))
    }

    /// Of the consumer of the outcomes, for the history.
    pub(in crate::queue) fn history(connection: &Connection, settings: &Settings) -> Self {
        Self::new(connection, settings, ConsumerSpec::history())
    }

    fn new(connection: &Connection, settings: &Settings, spec: ConsumerSpec) -> Self {
        let manage = settings.nats.manage_topology;
        Self { connection: connection.clone(), spec: Arc::new(spec), manage }
    }

    /// Defines the consumer again where it is missing, or only looks for it where `nats.manage_topology` is false.
    ///
    /// # Errors
    /// [`TopologyError`] if it is not there as needed.
    pub(in crate::queue) async fn restore(&self) -> Result<(), TopologyError> {
        Applier::new(&self.connection, self.manage).consumer(&self.spec).await.map(drop)
    }
}
