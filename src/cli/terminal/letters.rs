//! Dead letters as people read them: a line of facts, and the reason below it.

use textwrap::Options;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{BAD, DIM, HEADING, plain_line, styled, width};
use crate::events::DeadLetter;
use crate::queue::Letter;

/// Columns before the reason.
const INDENT: &str = "    ";

/// The letter as lines to print.
pub(crate) fn letter(letter: &Letter) -> String {
    match &letter.content {
        Ok(content) => entry(
            letter,
            content.at,
            content.code.as_str(),
            &facts(content, letter.bytes().map_or(0, |bytes| bytes.len())),
            &content.reason,
        ),
        Err(problem) => {
            let reason = format!("the letter cannot be read: {problem}");
            entry(letter, letter.stored_at, "unreadable", "it can only be discarded", &reason)
        }
    }
}

fn facts(content: &DeadLetter, bytes: usize) -> String {
    let deliveries = match content.deliveries {
        1 => "1 delivery".to_owned(),
        more => format!("{more} deliveries"),
    };
    let kept = if content.payload_truncated { " kept of more" } else { "" };
    format!("{}, {deliveries}, {bytes} bytes{kept}", content.subject)
}

fn entry(letter: &Letter, at: OffsetDateTime, code: &str, facts: &str, reason: &str) -> String {
    let sequence = styled(HEADING, letter.sequence);
    let wrap = Options::new(width()).initial_indent(INDENT).subsequent_indent(INDENT).break_words(true);
    let reason = textwrap::fill(&plain_line(reason), wrap);
    format!("{sequence} {} {} {}\n{reason}", styled(DIM, time(at)), styled(BAD, code), plain_line(facts))
}

/// To the second: the sequence tells letters of one second apart.
fn time(at: OffsetDateTime) -> String {
    at.truncate_to_second().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_cannot_be_read_is_shown_and_its_escapes_are_not() {
        let broken = Letter {
            sequence: 7,
            stored_at: OffsetDateTime::UNIX_EPOCH,
            content: Err("expected \u{1b}[2J value".to_owned()),
        };
        let shown = letter(&broken);
        assert!(shown.contains("1970-01-01T00:00:00Z") && shown.contains("expected ␛[2J value"), "{shown:?}");
    }
}
