//! Whether the store and the broker that the settings name are there, and have what a worker needs. Nothing is created.

use std::time::{Duration, Instant};

use super::check::{Finding, State};
use crate::cli::database::database;
use crate::cli::error::CliError;
use crate::cli::keys::keyring;
use crate::cli::redaction::redacted;
use crate::cli::wiring;
use crate::queue::{Connection, TopologyError, connect as connect_to, topology};
use crate::settings::{NatsSettings, Settings};
use crate::store::{Store, StoreError};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker config check";
/// How long the broker may take for everything that it is asked.
const PATIENCE: Duration = Duration::from_secs(20);
/// What to do where something is not on the broker, by who creates it.
const WORKER_CREATES: &str = "start a worker, which creates it: `scenario-worker serve`";
/// What becomes of a definition that differs where workers look after them.
const WORKER_UPDATES: &str = "the next worker that starts with these settings changes it, for all workers; where the server does not allow that, it says so and ends";
const NOBODY_CREATES: &str = "create it, as `nats.manage_topology` is false: workers do not";

/// Asks everything that the settings name.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![store(settings).await];
    let broker = tokio::time::timeout(PATIENCE, broker(settings)).await;
    findings.extend(broker.unwrap_or_else(|_| {
        let message = format!("{} did not answer within {} s", shown(settings), PATIENCE.as_secs());
        vec![Finding::new("broker", State::OutOfReach, message)]
    }));
    findings
}

async fn store(settings: &Settings) -> Finding {
    let at = redacted(&settings.store.url);
    match open(settings).await {
        Ok(()) => Finding::new("store", State::Ok, format!("{at} has definitions that can be read")),
        Err(CheckError::Store(error @ (StoreError::NoFile { .. } | StoreError::Empty { .. }))) => {
            Finding::new("store", State::Refused, error.to_string())
        }
        Err(CheckError::Store(error)) => Finding::failed("store", wiring::unusable(&error)),
        Err(CheckError::Keys(error)) => Finding::failed("store", error),
    }
}

enum CheckError {
    Store(StoreError),
    Keys(CliError),
}

async fn open(settings: &Settings) -> Result<(), CheckError> {
    let keys = keyring(&settings.store).map_err(CheckError::Keys)?;
    let database = database(&settings.store).map_err(CheckError::Keys)?;
    let store = Store::open_existing(&database).await.map_err(CheckError::Store)?;
    store.with_keys(keys).check().await.map_err(CheckError::Store)
}

async fn broker(settings: &Settings) -> Vec<Finding> {
    let begun = Instant::now();
    let connection = match connect_to(&settings.nats, CLIENT_NAME).await {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::failed("broker", CliError::out_of_reach(&error))],
    };
    let message =
        format!("{} answers (connected within {} ms)", shown(settings), begun.elapsed().as_millis());
    let mut findings = vec![Finding::new("broker", State::Ok, message), streams(&connection, settings).await];
    findings.extend(permissions(&connection));
    findings
}

/// What is not there is only reported: who checks must not change anything.
async fn streams(connection: &Connection, settings: &Settings) -> Finding {
    let nats = NatsSettings { manage_topology: false, ..settings.nats.clone() };
    match topology::ensure(connection, &Settings { nats, ..settings.clone() }).await {
        Ok(_) => {
            Finding::new("streams", State::Ok, "streams, consumers and buckets are as the settings ask for")
        }
        Err(TopologyError::Missing { what }) => {
            let hint = if settings.nats.manage_topology { WORKER_CREATES } else { NOBODY_CREATES };
            Finding::new("streams", State::Refused, format!("{what} is missing")).hinted(hint)
        }
        Err(TopologyError::Drift { what, differences }) if settings.nats.manage_topology => {
            let message = format!("{what} is defined otherwise than by these settings: {differences}");
            Finding::new("streams", State::Warning, message).hinted(WORKER_UPDATES)
        }
        Err(error) => Finding::failed("streams", wiring::unfit(&error)),
    }
}

/// What the broker forbade while it was looked at. What only a run needs shows in a worker's `/readyz`.
fn permissions(connection: &Connection) -> Vec<Finding> {
    let denials = connection.denials.in_the_way();
    denials.iter().map(|denial| Finding::new("permissions", State::Refused, denial.to_string())).collect()
}

fn shown(settings: &Settings) -> String {
    redacted(&settings.nats.url)
}
