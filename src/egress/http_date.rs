//! Dates in headers.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The first year that two digits can mean (RFC 6265, section 5.1.1); the others are of the next century. Cookies are
/// ended with a date of 1970, which the moving rule of RFC 9110 would take for 2070.
const FIRST_SHORT_YEAR: i32 = 70;
const LAST_CENTURY: i32 = 1900;
const THIS_CENTURY: i32 = 2000;

/// The date that `text` is in any of the three forms that HTTP has had (RFC 9110, section 5.6.7): of RFC 5322, of
/// RFC 850, and of C's `asctime`. The day of the week says nothing more.
#[must_use]
pub fn http_date(text: &str) -> Option<OffsetDateTime> {
    let (day, month, year, rest) = parts(text)?;
    let year = match year.parse().ok()? {
        short if year.len() == 2 => full_year(short),
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

fn full_year(short: i32) -> i32 {
    short + if short < FIRST_SHORT_YEAR { THIS_CENTURY } else { LAST_CENTURY }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_form_of_a_date_is_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Sun Nov  6 08:49:37 1994", Some(datetime!(1994-11-06 08:49:37 UTC))),
            ("Monday, 23-Nov-26 15:02:00 GMT", Some(datetime!(2026-11-23 15:02 UTC))),
            ("Saturday, 23-Nov-69 15:02:00 GMT", Some(datetime!(2069-11-23 15:02 UTC))),
            ("Thursday, 01-Jan-70 00:00:00 GMT", Some(datetime!(1970-01-01 00:00 UTC))),
            ("Wed, 21-Oct-2048 07:28:00 GMT", Some(datetime!(2048-10-21 07:28 UTC))),
            ("Sun, 06 Nov 1994 08:49:37 +0100", Some(datetime!(1994-11-06 08:49:37 +1))),
            ("Sun, 06 Nov 1994 08:49:37 -0100", Some(datetime!(1994-11-06 08:49:37 -1))),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun Nov  6 1994", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), expected, "{text}");
        }
    }
}
