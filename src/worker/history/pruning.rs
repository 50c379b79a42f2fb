//! Old runs are removed, by one worker at a time and a few at a time.

use std::sync::Arc;
use std::time::Duration;

use super::growing;
use crate::execution::failure::Unavailable;
use crate::execution::history::RunHistory;
use crate::execution::ports::Clock;
use crate::text::chain;

/// How often old runs are removed: a run may be kept for that much longer.
const EVERY: Duration = Duration::from_mins(10);
/// How often a worker looks whether it is its turn. Another one looks in between, so that one that is lost is no matter.
const LOOK_EVERY: Duration = Duration::from_mins(2);
/// Runs that one statement removes: it holds locks, and on a file everybody else waits for it.
const AT_ONCE: u32 = 500;
/// Statements of one turn at most, with a pause between any two. What is left then is for the next turn.
const STATEMENTS: usize = 200;
const BREATH: Duration = Duration::from_millis(50);
/// The longest pause while the database does not answer.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);
/// Which part of a pause it is at least: workers that start together do not look together.
const SHORTEST_PART: f64 = 0.5;

/// Removes runs from the history that are older than they may become.
#[derive(Clone)]
pub struct Pruning {
    /// Where they are.
    pub history: Arc<dyn RunHistory>,
    /// How long they are kept.
    pub retention: Duration,
    /// Tells how old they are.
    pub clock: Arc<dyn Clock>,
}

impl Pruning {
    /// Looks again and again whether it is this worker's turn, for as long as this is polled.
    pub(super) async fn run(&self) {
        let mut failures = 0;
        loop {
            let pause = match self.turn().await {
                Ok(_) => {
                    failures = 0;
                    LOOK_EVERY
                }
                Err(error) => {
                    failures += 1;
                    tracing::info!(error = %chain(&error), "old runs stay in the history for now");
                    growing(LOOK_EVERY, LONGEST_PAUSE, failures)
                }
            };
            tokio::time::sleep(pause.mul_f64(rand::random_range(SHORTEST_PART..=1.0))).await;
        }
    }

    /// Removes old runs if they were not looked for lately, by whomever, and says how many there were.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    pub async fn turn(&self) -> Result<u64, Unavailable> {
        let now = self.clock.now();
        if !self.history.take_turn_to_prune(now, now + EVERY).await? {
            return Ok(0);
        }
        let (end, mut removed) = (now - self.retention, 0);
        for _ in 0..STATEMENTS {
            let some = self.history.prune(end, AT_ONCE).await?;
            removed += some;
            if some < u64::from(AT_ONCE) {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        if removed > 0 {
            tracing::info!(runs = removed, "old runs were removed from the history");
        }
        Ok(removed)
    }
}
