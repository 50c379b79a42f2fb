//! Whether this worker can play runs: the broker's JetStream and the database are asked every few seconds, whoever looks
//! at the answer.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::queue::{Backlog, Connection, Consumer};
use crate::store::{Store, StoreError};
use crate::text::chain;

/// How often JetStream and the database are asked: one request and a handful of lookups, so that a large fleet is no
/// burden, and soon enough for whoever routes or rolls out by the answer.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long each of them may take to answer before it counts as out of reach.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);
/// A worker that has not looked for this long is stuck: the longest look and the pause before it, several times over.
const STUCK_AFTER: Duration = Duration::from_mins(1);
/// Names of what can be in the way, before the reason.
const STARTING: &str = "the worker is starting";
const NO_BROKER: &str = "the broker is not ready";
const NOT_CONNECTED: &str = "the broker is not connected";
const NO_JETSTREAM: &str = "JetStream does not serve the consumer of the requests";
const NO_DEFINITIONS: &str = "definitions cannot be read";

/// Something that keeps the worker from its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    what: &'static str,
    why: String,
}

impl Obstacle {
    /// A broker that does not answer yet, or not as it has to.
    #[must_use]
    pub fn broker(error: &dyn std::error::Error) -> Self {
        Self { what: NO_BROKER, why: chain(error) }
    }

    /// What it is about, as the log tells one trouble from another: a broker that goes away and comes back is one.
    fn matter(&self) -> &'static str {
        match self.what {
            NOT_CONNECTED | NO_JETSTREAM => NO_BROKER,
            what => what,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why.as_str() {
            "" => f.write_str(self.what),
            why => write!(f, "{}: {why}", self.what),
        }
    }
}

/// What is in the way of the worker's work. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Standing>);

#[derive(Debug)]
struct Standing {
    connection: OnceLock<Connection>,
    found: Mutex<Vec<Obstacle>>,
    /// The matters that the log has said are in the way.
    said: Mutex<Vec<&'static str>>,
    /// What the server said of the consumer when it was looked at last.
    backlog: Mutex<Option<Backlog>>,
    /// When the last look was over; none before the first.
    looked_at: Mutex<Option<Instant>>,
}

impl Default for Readiness {
    fn default() -> Self {
        let found = Mutex::new(vec![Obstacle { what: STARTING, why: String::new() }]);
        let (backlog, looked_at, said) = (Mutex::default(), Mutex::default(), Mutex::new(vec![STARTING]));
        Self(Arc::new(Standing { connection: OnceLock::new(), found, said, backlog, looked_at }))
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
        let mut obstacles: Vec<String> = self.lost_connection().iter().map(ToString::to_string).collect();
        if let Some(connection) = self.0.connection.get() {
            obstacles.extend(connection.denials.in_the_way().iter().map(ToString::to_string));
        }
        obstacles.extend(self.found().iter().map(ToString::to_string));
        obstacles.extend(self.stuck());
        obstacles
    }

    fn lost_connection(&self) -> Option<Obstacle> {
        let is_lost = self.0.connection.get().is_some_and(|connection| !connection.is_connected());
        is_lost.then(|| Obstacle { what: NOT_CONNECTED, why: String::new() })
    }

    /// Why this process is beyond help: whoever keeps all of this up to date does so no more. A worker that starts has
    /// its own patience.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        let looked_at = (*whole(&self.0.looked_at))?;
        let (silent, most) = (looked_at.elapsed().as_secs(), STUCK_AFTER.as_secs());
        (silent > most).then(|| format!("the worker is stuck: it has not looked around for {silent} s"))
    }

    /// What the server said of the consumer, if it can be relied on.
    #[must_use]
    pub fn backlog(&self) -> Option<Backlog> {
        if self.stuck().is_some() { None } else { *whole(&self.0.backlog) }
    }

    /// A look is over, with what the server said of the consumer.
    fn looked(&self, backlog: Option<Backlog>) {
        *whole(&self.0.backlog) = backlog;
        *whole(&self.0.looked_at) = Some(Instant::now());
    }

    /// Replaces what was found before. The log has a line when something comes into the way or is out of it, and none when
    /// only the wording of a reason changes.
    pub fn replace(&self, obstacles: Vec<Obstacle>) {
        let lost = self.lost_connection();
        let standing: Vec<Obstacle> = lost.into_iter().chain(obstacles.iter().cloned()).collect();
        *self.found() = obstacles;
        let mut matters: Vec<&str> = standing.iter().map(Obstacle::matter).collect();
        matters.dedup();
        if std::mem::replace(&mut *whole(&self.0.said), matters.clone()) == matters {
            return;
        }
        if standing.is_empty() {
            tracing::info!("the worker is ready");
        } else {
            let reasons: Vec<String> = standing.iter().map(ToString::to_string).collect();
            tracing::warn!(reason = reasons.join("; "), "the worker is not ready");
        }
    }

    fn found(&self) -> MutexGuard<'_, Vec<Obstacle>> {
        whole(&self.0.found)
    }
}

/// Everything here is replaced as a whole, so a panic elsewhere leaves it so.
fn whole<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Whether it was said that there are none.
    pub noticed: AtomicBool,
    /// Whether there were some before.
    pub filled: AtomicBool,
}

impl Lookout {
    /// Looks again and again, at once for the first time.
    pub async fn run(&self) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.connection_changes() => {}
            }
            self.look().await;
        }
    }

    /// Ends when the connection is lost, or there again: an outage may be shorter than the pause between two looks.
    async fn connection_changes(&self) {
        if self.connection.is_connected() {
            self.connection.lost().await;
        } else {
            self.connection.made().await;
        }
    }

    /// Looks once.
    pub async fn look(&self) {
        let (broker, store) = tokio::join!(self.broker(), self.store());
        let (backlog, broker) =
            broker.map_or_else(|obstacle| (None, Some(obstacle)), |backlog| (backlog, None));
        self.readiness.replace(broker.into_iter().chain(store).collect());
        self.readiness.looked(backlog);
    }

    /// A broker that is not connected is known to be away, and asking would only fill the client's buffers.
    async fn broker(&self) -> Result<Option<Backlog>, Obstacle> {
        if !self.connection.is_connected() {
            return Ok(None);
        }
        let why = match timeout(ANSWER_PATIENCE, self.requests.check()).await {
            Ok(Ok(backlog)) => return Ok(Some(backlog)),
            Ok(Err(error)) => chain(&error),
            Err(_) => no_answer("JetStream"),
        };
        Err(Obstacle { what: NO_JETSTREAM, why })
    }

    async fn store(&self) -> Option<Obstacle> {
        let why = match timeout(ANSWER_PATIENCE, self.store.check()).await {
            Ok(Ok(())) => {
                self.filled.store(true, Ordering::Relaxed);
                return None;
            }
            Ok(Err(error)) if error.is_unfilled() && !self.filled.load(Ordering::Relaxed) => {
                self.notice(&error);
                return None;
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => no_answer("the database"),
        };
        Some(Obstacle { what: NO_DEFINITIONS, why })
    }

    /// A worker may be started before anything is imported: it is ready, and its runs wait. Definitions that were there and
    /// are gone are another matter.
    fn notice(&self, unfilled: &StoreError) {
        if !self.noticed.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %chain(unfilled), "runs wait until something is imported");
        }
    }
}

fn no_answer(who: &str) -> String {
    format!("{who} did not answer within {} s", ANSWER_PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_was_not_looked_at_is_not_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.obstacles(), [STARTING]);
        readiness.replace(vec![Obstacle { what: NO_JETSTREAM, why: "timed out".to_owned() }]);
        assert_eq!(readiness.obstacles(), [format!("{NO_JETSTREAM}: timed out")]);
        readiness.clone().replace(Vec::new());
        assert!(readiness.obstacles().is_empty(), "clones share it");
    }

    #[test]
    fn whatever_keeps_the_broker_away_is_one_matter() {
        let matter = |what| Obstacle { what, why: String::new() }.matter();
        assert_eq!([NOT_CONNECTED, NO_JETSTREAM].map(matter), [NO_BROKER; 2]);
        assert_eq!(matter(NO_DEFINITIONS), NO_DEFINITIONS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_looks_no_more_is_stuck_and_says_nothing_of_the_consumer() {
        let readiness = Readiness::default();
        tokio::time::advance(STUCK_AFTER * 10).await;
        assert_eq!(readiness.stuck(), None, "it has not begun to look");
        let backlog = Backlog { pending: 1, ack_pending: 2, redelivered: 3, waiting_pulls: 4 };
        readiness.replace(Vec::new());
        readiness.looked(Some(backlog));
        tokio::time::advance(STUCK_AFTER).await;
        assert_eq!((readiness.stuck(), readiness.backlog()), (None, Some(backlog)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(readiness.stuck().unwrap().contains("for 61 s"));
        assert_eq!((readiness.obstacles(), readiness.backlog()), (vec![readiness.stuck().unwrap()], None));
        readiness.looked(None);
        assert_eq!((readiness.obstacles(), readiness.backlog()), (vec![], None));
    }
}
