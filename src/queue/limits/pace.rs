//! How fast a scope goes after it was refused: half as fast at once, then faster again bit by bit.

use serde::{Deserialize, Serialize};

/// One second, in the microseconds of the shared clock.
pub(super) const SECOND: i64 = 1_000_000;

/// What is left of the pace after a refusal.
const CUT: f64 = 0.5;
/// The least that is left of the limit, however often it was refused.
const LEAST_SHARE: f64 = 1.0 / 64.0;
/// How long it takes from a standstill to the whole limit, in microseconds: a cut by half is made good in a minute,
/// over which providers count.
const RECOVERY: i64 = 120 * SECOND;
/// The longest that a callee is left alone because of one refusal, in microseconds.
const LONGEST_PAUSE: i64 = 300 * SECOND;

/// What of its limit a scope may use at present.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// The share of the limit at the last refusal, up to 1.
    share: f64,
    /// When that was.
    cut_at: i64,
    /// No call begins before.
    paused_until: i64,
}

/// A call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// When the call began.
    pub(super) began: i64,
    /// How long the callee asks to be left alone, in microseconds.
    pub(super) retry_after: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { share: 1.0, cut_at: 0, paused_until: 0 }
    }
}

impl Pace {
    /// The share of the limit that may be used.
    pub(super) fn share(&self, now: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share is rough")]
        let recovered = now.saturating_sub(self.cut_at).max(0) as f64 / RECOVERY as f64;
        (self.share + recovered).clamp(LEAST_SHARE, 1.0)
    }

    /// No call begins before this.
    pub(super) fn paused_until(&self) -> i64 {
        self.paused_until
    }

    /// Takes in a refusal. Of calls that were under way at once all but the first tell nothing new: those that began
    /// before the last cut were too many for the pace before it.
    pub(super) fn refused(&mut self, refused: Refused, now: i64) {
        let pause = refused.retry_after.clamp(0, LONGEST_PAUSE);
        self.paused_until = self.paused_until.max(now.saturating_add(pause));
        if refused.began > self.cut_at {
            (self.share, self.cut_at) = ((self.share(now) * CUT).max(LEAST_SHARE), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000 * SECOND;

    fn refused(began: i64) -> Refused {
        Refused { began, retry_after: 0 }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_refusal_halves_the_pace_and_a_minute_makes_it_good() {
        let mut pace = Pace::default();
        pace.refused(refused(NOW - SECOND), NOW);
        assert!(close(pace.share(NOW), 0.5));
        assert!(close(pace.share(NOW + 30 * SECOND), 0.75));
        assert!(close(pace.share(NOW + 60 * SECOND), 1.0));
        assert!(close(pace.share(NOW + 600 * SECOND), 1.0));
    }

    #[test]
    fn calls_that_were_under_way_together_are_one_refusal() {
        let mut pace = Pace::default();
        for late in 0..10 {
            pace.refused(refused(NOW - SECOND), NOW + late);
        }
        assert!(close(pace.share(NOW), 0.5), "{pace:?}");
        pace.refused(refused(NOW + SECOND), NOW + SECOND);
        assert!(pace.share(NOW + SECOND) < 0.26, "{pace:?}");
    }

    #[test]
    fn the_pace_never_comes_to_nothing() {
        let mut pace = Pace::default();
        for time in 0..100 {
            pace.refused(refused(NOW + time), NOW + time);
        }
        assert!(pace.share(NOW + 100) >= LEAST_SHARE);
    }

    #[test]
    fn a_callee_is_left_alone_as_it_asks_within_bounds() {
        let mut pace = Pace::default();
        pace.refused(Refused { began: NOW, retry_after: 7 * SECOND }, NOW);
        assert_eq!(pace.paused_until(), NOW + 7 * SECOND);
        pace.refused(Refused { began: NOW, retry_after: 0 }, NOW);
        assert_eq!(pace.paused_until(), NOW + 7 * SECOND, "a later word does not shorten it");
        pace.refused(Refused { began: NOW, retry_after: i64::MAX }, NOW);
        assert_eq!(pace.paused_until(), NOW + LONGEST_PAUSE);
    }
}
