//! How often a run puts spans away between two steps while its endpoint does not take them.

use std::time::Duration;

use tokio::time::Instant;

/// So many parcels a run may make one after the other: one for each step of most runs. A parcel is an object, a notice and
/// an entry in a ledger that is written anew for each.
const FREE: u32 = 64;
/// Time between two of those that come after, or after one that nobody took.
const PAUSE: Duration = Duration::from_secs(10);

/// The parcels of a run's steps.
#[derive(Debug, Default)]
pub(super) struct StepParcels {
    made: u32,
    not_before: Option<Instant>,
}

impl StepParcels {
    /// Whether a parcel may be made now.
    pub(super) fn may_make(&self) -> bool {
        self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// One was made, or could not be kept.
    pub(super) fn made(&mut self, kept: bool) {
        self.made = self.made.saturating_add(1);
        self.not_before = (!kept || self.made >= FREE).then(|| Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_makes_a_parcel_until_there_are_many() {
        let mut steps = StepParcels::default();
        for _ in 0..FREE {
            assert!(steps.may_make());
            steps.made(true);
        }
        assert!(!steps.may_make());
        tokio::time::advance(PAUSE).await;
        assert!(steps.may_make());
    }

    #[tokio::test(start_paused = true)]
    async fn a_spool_that_takes_none_is_left_alone_for_a_while() {
        let mut steps = StepParcels::default();
        steps.made(false);
        assert!(!steps.may_make());
        tokio::time::advance(PAUSE).await;
        assert!(steps.may_make());
    }
}
