//! How much a worker tells one platform at a time, and when it leaves it alone: who does not answer keeps nobody waiting but
//! its own project.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::events::ProjectId;

/// Runs of one project of which a worker tells at one time.
const AT_ONCE: usize = 4;
/// The pause before it is looked again whether there is room.
const FULL_PAUSE: Duration = Duration::from_millis(400);
/// The longest pause that is chosen here: who is back wants to show what happens.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The longest pause that a platform may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// Which part of a pause it is at least: what failed together does not come back together.
const SHORTEST_PART: f64 = 0.5;

/// The doors of all platforms.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    first: Duration,
    all: Arc<Mutex<HashMap<ProjectId, State>>>,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    /// In a row.
    failures: u32,
    closed_until: Option<Instant>,
}

/// The right to tell one platform something, until it is dropped.
#[derive(Debug)]
pub(super) struct Door {
    doors: Doors,
    project: ProjectId,
}

impl Doors {
    /// Closed for `first` at the first failure in a row.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, all: Arc::default() }
    }

    /// A door, or how long to wait for one.
    pub(super) fn enter(&self, project: &ProjectId) -> Result<Door, Duration> {
        let mut all = self.all();
        let state = all.entry(project.clone()).or_default();
        if let Some(left) = state.left(Instant::now()) {
            return Err(left + jittered(self.first));
        }
        if state.inside >= AT_ONCE {
            return Err(FULL_PAUSE);
        }
        state.inside += 1;
        Ok(Door { doors: self.clone(), project: project.clone() })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ProjectId, State>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long it is still closed, if it is.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

impl Door {
    /// The platform answered.
    pub(super) fn opened(&self) {
        if let Some(state) = self.doors.all().get_mut(&self.project) {
            (state.failures, state.closed_until) = (0, None);
        }
    }

    /// The platform did not take something that is `age` old, and may have asked to be left alone. Says when to come back:
    /// what fails alone comes less and less often the older it is, while others go on.
    pub(super) fn failed(&self, age: Duration, asked: Option<Duration>) -> Duration {
        let (first, asked) = (self.doors.first, asked.unwrap_or_default().min(LONGEST_ASKED));
        let (longest, now) = (LONGEST_PAUSE.max(first), Instant::now());
        let mut all = self.doors.all();
        let state = all.entry(self.project.clone()).or_default();
        // What fails together is one failure.
        if state.left(now).is_none() {
            state.failures = state.failures.saturating_add(1);
        }
        let doublings = state.failures.saturating_sub(1).min(u32::BITS - 2);
        let closed = first.saturating_mul(1 << doublings).min(longest).max(asked);
        state.closed_until = state.closed_until.max(Some(now + closed));
        jittered(age.clamp(first, longest)).max(closed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut all = self.doors.all();
        let Some(state) = all.get_mut(&self.project) else { return };
        state.inside -= 1;
        // Nothing is remembered of a platform that is well.
        if state.inside == 0 && state.failures == 0 {
            all.remove(&self.project);
        }
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(SHORTEST_PART..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(2);

    fn project(id: &str) -> ProjectId {
        ProjectId::parse(id).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_fails_is_left_alone_for_ever_longer_and_no_other_is() {
        let (doors, mine) = (Doors::new(FIRST), project("mine"));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(doors.enter(&mine).unwrap().failed(Duration::ZERO, None).as_secs());
            assert!(doors.enter(&mine).is_err() && doors.enter(&project("other")).is_ok());
            tokio::time::advance(Duration::from_secs(*pauses.last().unwrap())).await;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        let (door, other) = (doors.enter(&mine).unwrap(), doors.enter(&mine).unwrap());
        door.opened();
        assert_eq!([door, other].map(|door| door.failed(Duration::ZERO, None)), [FIRST, FIRST], "together");
        doors.enter(&mine).unwrap_err();
        tokio::time::advance(FIRST).await;
        assert!(doors.enter(&mine).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_to_be_left_alone_is_but_not_for_ever() {
        let (doors, mine) = (Doors::new(FIRST), project("mine"));
        assert_eq!(doors.enter(&mine).unwrap().failed(Duration::ZERO, Some(FIRST * 50)), FIRST * 50);
        tokio::time::advance(FIRST * 50).await;
        assert_eq!(
            doors.enter(&mine).unwrap().failed(Duration::ZERO, Some(LONGEST_ASKED * 9)),
            LONGEST_ASKED
        );
    }

    #[test]
    fn one_platform_has_only_so_much_room_and_what_leaves_makes_some() {
        let (doors, mine) = (Doors::new(FIRST), project("mine"));
        let mut inside: Vec<Door> = (0..AT_ONCE).map(|_| doors.enter(&mine).unwrap()).collect();
        assert_eq!(doors.enter(&mine).unwrap_err(), FULL_PAUSE);
        assert!(doors.enter(&project("other")).is_ok());
        inside.pop();
        assert!(doors.enter(&mine).is_ok());
        inside.clear();
        assert!(doors.all().is_empty());
    }
}
