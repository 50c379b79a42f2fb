//! When a callee asks to be called again.

use std::time::Duration;

use reqwest::header::HeaderValue;
use time::OffsetDateTime;

use super::http_date::http_date;

/// The longest wait that is taken at its word: beyond a day it means never, and no clock counts to the largest number.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// The wait that a `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3); a day at most.
#[must_use]
pub fn retry_after(value: Option<&HeaderValue>, now: OffsetDateTime) -> Option<Duration> {
    let text = value?.to_str().ok()?.trim();
    if let Some(seconds) = seconds(text) {
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_ASKED).min(LONGEST_ASKED));
    }
    let at = http_date(text)?;
    Some(Duration::try_from(at - now).unwrap_or_default().min(LONGEST_ASKED))
}

/// Some servers write a part of a second, too.
fn seconds(text: &str) -> Option<f64> {
    let is_plain = text.chars().all(|character| character.is_ascii_digit() || character == '.');
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(1994-11-06 08:49:00 UTC);

    fn asked(value: &'static str) -> Option<Duration> {
        retry_after(Some(&HeaderValue::from_static(value)), NOW)
    }

    #[test]
    fn it_is_read_as_seconds_and_as_a_date() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Sunday, 06-Nov-94 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(asked("Sun Nov  6 08:49:37 1994"), Some(Duration::from_secs(37)));
        assert_eq!(asked("2.5"), Some(Duration::from_millis(2500)));
        for nothing in ["soon", "", ".", "-1", "inf", "1e3"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
        assert_eq!(asked("18446744073709551615"), Some(LONGEST_ASKED));
        assert_eq!(asked("Sun, 06 Nov 9994 08:49:37 GMT"), Some(LONGEST_ASKED));
        assert_eq!(retry_after(None, NOW), None);
    }
}
