//! When a callee asks to be called again.

use std::time::Duration;

use reqwest::header::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The longest wait that is taken at its word: beyond a day it means never, and no clock counts to the largest number.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// The wait that a `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3); a day at most.
#[must_use]
pub fn retry_after(value: Option<&HeaderValue>, now: OffsetDateTime) -> Option<Duration> {
    let text = value?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_ASKED));
    }
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(at - now).unwrap_or_default().min(LONGEST_ASKED))
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
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("18446744073709551615"), Some(LONGEST_ASKED));
        assert_eq!(asked("Sun, 06 Nov 9994 08:49:37 GMT"), Some(LONGEST_ASKED));
        assert_eq!(retry_after(None, NOW), None);
    }
}
