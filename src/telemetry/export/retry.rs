//! Which failures are worth another attempt, and when.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Attempts for one request. More would only follow a server that is down for longer than any deadline.
pub(super) const MAX_ATTEMPTS: u32 = 6;
/// The pause before the second attempt; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that is chosen here; a server may ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for: beyond a day it means never, and no clock counts to the largest number.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

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

/// What `Retry-After` asks for, a day at most: seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_ASKED));
    }
    let at = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    let asked: Duration = (at - now).try_into().unwrap_or_default();
    Some(asked.min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after(&headers, datetime!(1994-11-06 08:49:30 UTC))
    }

    #[test]
    fn a_server_may_ask_in_seconds_or_with_a_date() {
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("18446744073709551615"), Some(LONGEST_ASKED));
        assert_eq!(asked("Sun, 06 Nov 9994 08:49:37 GMT"), Some(LONGEST_ASKED));
    }

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
