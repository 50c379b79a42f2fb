//! Trying again until a deadline, with pauses that grow and are jittered.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

/// First and longest pause between two attempts, in milliseconds.
const FIRST_PAUSE_MS: u64 = 50;
const LONGEST_PAUSE_MS: u64 = 2_000;

/// How long a write to the broker is retried before the broker counts as unavailable. Longer than an election of
/// a new leader or a restart, shorter than the deduplication windows that make a repeated write harmless.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// What to make of a failed attempt.
pub(super) enum Next {
    /// It may go better next time.
    Again,
    /// It never will.
    Stop,
}

/// Runs `attempt` until it succeeds, fails for good, or `patience` is over; the last error comes back.
pub(super) async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    patience: Duration,
    judge: impl Fn(&E) -> Next,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    let mut pause = Pause::default();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let wait = pause.next();
        if matches!(judge(&error), Next::Stop) || Instant::now() + wait >= deadline {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
    }
}

/// The pauses between attempts: each is up to twice as long as the one before.
#[derive(Debug)]
pub(super) struct Pause {
    longest_ms: u64,
    limit_ms: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { longest_ms: FIRST_PAUSE_MS, limit_ms: LONGEST_PAUSE_MS }
    }
}

impl Pause {
    /// Pauses that grow to `limit`.
    pub(super) fn up_to(limit: Duration) -> Self {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self { limit_ms, ..Self::default() }
    }

    /// The next pause: half of it is fixed, half is chance, so that a fleet does not move in step.
    pub(super) fn next(&mut self) -> Duration {
        let longest = self.longest_ms;
        self.longest_ms = longest.saturating_mul(2).min(self.limit_ms);
        Duration::from_millis(rand::rng().random_range(longest / 2..=longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_repeated_until_patience_is_over() {
        let (mut attempts, started) = (0, Instant::now());
        let result: Result<(), &str> = retry(
            Duration::from_secs(10),
            |_| Next::Again,
            || {
                attempts += 1;
                std::future::ready(Err("still down"))
            },
        )
        .await;
        assert_eq!(result, Err("still down"));
        assert!(attempts > 5, "{attempts}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_comes_back_at_once() {
        let mut attempts = 0;
        let result: Result<(), &str> = retry(
            WRITE_PATIENCE,
            |_| Next::Stop,
            || {
                attempts += 1;
                std::future::ready(Err("refused"))
            },
        )
        .await;
        assert_eq!((result, attempts), (Err("refused"), 1));
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let mut pause = Pause::default();
        assert!(pause.next() <= Duration::from_millis(FIRST_PAUSE_MS));
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            last = pause.next();
        }
        assert!(last >= Duration::from_millis(LONGEST_PAUSE_MS / 2));
        assert!(last <= Duration::from_millis(LONGEST_PAUSE_MS));
    }
}
