//! Dates in headers.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A year of two digits that would be further ahead than this is one of the past (RFC 9110, section 5.6.7).
const MOST_YEARS_AHEAD: i32 = 50;
const CENTURY: i32 = 100;

/// The date that `text` is in any of the three forms that HTTP has had (RFC 9110, section 5.6.7): of RFC 5322, of
/// RFC 850, and of C's `asctime`. The day of the week says nothing more. `now` tells what a year of two digits means.
#[must_use]
pub fn http_date(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let (day, month, year, rest) = parts(text)?;
    let year = match year.parse().ok()? {
        short if year.len() == 2 => full_year(short, now.year()),
        full => full,
    };
    OffsetDateTime::parse(&format!("{day} {month} {year:04} {rest}"), &Rfc2822).ok()
}

/// Day, month, year, and the time with its zone.
fn parts(text: &str) -> Option<(&str, &str, &str, String)> {
    if let Some((_, date)) = text.split_once(',') {
        let mut words = date.trim().splitn(4, [' ', '-']);
        return Some((words.next()?, words.next()?, words.next()?, words.next()?.to_owned()));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, month, day, time, year] = words[..] else { return None };
    Some((day, month, year, format!("{time} GMT")))
}

fn full_year(short: i32, this_year: i32) -> i32 {
    let year = this_year - this_year % CENTURY + short;
    if year > this_year + MOST_YEARS_AHEAD { year - CENTURY } else { year }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_form_of_a_date_is_read() {
        let now = datetime!(2026-11-23 15:00 UTC);
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Sun Nov  6 08:49:37 1994", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Monday, 23-Nov-26 15:02:00 GMT", Some(datetime!(2026-11-23 15:02 UTC))),
            ("Monday, 23-Nov-76 15:02:00 GMT", Some(datetime!(2076-11-23 15:02 UTC))),
            ("Wednesday, 23-Nov-77 15:02:00 GMT", Some(datetime!(1977-11-23 15:02 UTC))),
            ("Wed, 21-Oct-2048 07:28:00 GMT", Some(datetime!(2048-10-21 07:28 UTC))),
            ("Sun, 06 Nov 1994 08:49:37 +0100", Some(datetime!(1994-11-06 08:49:37 +1))),
            ("Sun, 06 Nov 1994 08:49:37 -0100", Some(datetime!(1994-11-06 08:49:37 -1))),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun Nov  6 1994", None),
            ("", None),
        ] {
            assert_eq!(http_date(text, now), expected, "{text}");
        }
    }
}
