//! Whether this worker can play runs: the broker's JetStream and the database are asked every few seconds, whoever looks
//! at the answer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::queue::{Connection, Consumer};
use crate::store::Store;
use crate::text::chain;

/// How often JetStream and the database are asked: one request and a handful of lookups, so that a large fleet is no
/// burden, and soon enough for whoever routes or rolls out by the answer.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long each of them may take to answer before it counts as out of reach.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);
/// What is in the way before anything was looked at.
const STARTING: &str = "the worker is starting";

/// What is in the way of the worker's work. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Standing>);

#[derive(Debug)]
struct Standing {
    connection: OnceLock<Connection>,
    found: Mutex<Vec<String>>,
}

impl Default for Readiness {
    fn default() -> Self {
        let found = Mutex::new(vec![STARTING.to_owned()]);
        Self(Arc::new(Standing { connection: OnceLock::new(), found }))
    }
}

impl Readiness {
    /// From now on the connection is looked at, too. The first one counts.
    pub fn connected(&self, connection: &Connection) {
        self.0.connection.get_or_init(|| connection.clone());
    }

    /// Everything that is in the way, in a line each. Nobody is asked for it.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        if let Some(connection) = self.0.connection.get() {
            if !connection.is_connected() {
                obstacles.push("the broker is not connected".to_owned());
            }
            obstacles.extend(connection.denials.in_the_way().iter().map(ToString::to_string));
        }
        obstacles.extend(self.found().iter().cloned());
        obstacles
    }

    /// Replaces what was found before. The log has a line for each change.
    pub fn replace(&self, obstacles: Vec<String>) {
        let mut found = self.found();
        if *found == obstacles {
            return;
        }
        if obstacles.is_empty() {
            tracing::info!("the worker is ready");
        } else {
            tracing::warn!(reason = obstacles.join("; "), "the worker is not ready");
        }
        *found = obstacles;
    }

    fn found(&self) -> MutexGuard<'_, Vec<String>> {
        // The list is replaced as a whole.
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps [`Readiness`] up to date.
pub struct Lookout {
    /// What is kept up to date.
    pub readiness: Readiness,
    /// The broker.
    pub connection: Connection,
    /// The consumer of the requests.
    pub requests: Consumer,
    /// The definitions.
    pub store: Store,
}

impl Lookout {
    /// Looks again and again, at once for the first time.
    pub async fn run(&self) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Looks once.
    pub async fn look(&self) {
        let (broker, store) = tokio::join!(self.broker(), self.store());
        self.readiness.replace(broker.into_iter().chain(store).collect());
    }

    /// A broker that is not connected is known to be away, and asking would only fill the client's buffers.
    async fn broker(&self) -> Option<String> {
        if !self.connection.is_connected() {
            return None;
        }
        let why = match timeout(ANSWER_PATIENCE, self.requests.check()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => chain(&error),
            Err(_) => no_answer("JetStream"),
        };
        Some(format!("JetStream does not serve the consumer of the requests: {why}"))
    }

    async fn store(&self) -> Option<String> {
        let why = match timeout(ANSWER_PATIENCE, self.store.check()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => chain(&error),
            Err(_) => no_answer("the database"),
        };
        Some(format!("definitions cannot be read: {why}"))
    }
}

fn no_answer(who: &str) -> String {
    format!("{who} did not answer within {} s", ANSWER_PATIENCE.as_secs())
}
