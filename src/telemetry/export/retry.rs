//! Which failures are worth another attempt, and when.

use std::time::Duration;

use http::StatusCode;

/// Attempts for one request. More would only follow a server that is down for longer than any deadline.
pub(super) const MAX_ATTEMPTS: u32 = 6;
/// The pause before the second attempt; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that is chosen here; a server may ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The statuses that OTLP/HTTP calls retryable.
pub(super) fn is_retryable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause after attempt `attempt` (from 1): what the server asks for, else half to all of a growing interval, so
/// that the runs of a worker do not come back together.
pub(super) fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    let interval =
        FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(u32::BITS - 2)).min(LONGEST_PAUSE);
    asked.unwrap_or_else(|| interval.mul_f64(rand::random_range(0.5..=1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_limit() {
        for (attempt, most) in [(1, 200), (2, 400), (3, 800), (6, 5000), (40, 5000)] {
            let chosen = pause(attempt, None);
            let most = Duration::from_millis(most);
            assert!(chosen <= most && chosen >= most / 2, "{attempt}: {chosen:?}");
        }
        assert_eq!(pause(1, Some(Duration::from_mins(1))), Duration::from_mins(1));
    }
}
