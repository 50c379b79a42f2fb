//! A transcript that is too long for a model, cut where it is least missed.

use std::fmt::Write as _;

use crate::text::cut_middle;

/// The most of a transcript that a judge reads, in bytes: some 30 000 tokens, which models of today take beside the rest.
const MAX_TRANSCRIPT_BYTES: usize = 128 * 1024;
/// How much stays of one line of a transcript that is too long, in bytes.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// The beginning gets one in this many of the bytes, the end gets the rest: what was said last decides most.
const BEGINNING_PART: usize = 4;

/// `transcript`, line by line, cut to what a judge reads. Cuts are marked.
pub(super) fn excerpt(transcript: String) -> String {
    if transcript.len() <= MAX_TRANSCRIPT_BYTES {
        return transcript;
    }
    let lines: Vec<String> = transcript.lines().map(|line| cut_middle(line, MAX_LINE_BYTES)).collect();
    let total: usize = lines.iter().map(|line| cost(line)).sum();
    if total <= MAX_TRANSCRIPT_BYTES {
        return joined(&lines);
    }
    let beginning = fitting(lines.iter(), MAX_TRANSCRIPT_BYTES / BEGINNING_PART);
    let end = fitting(lines.iter().rev(), MAX_TRANSCRIPT_BYTES - MAX_TRANSCRIPT_BYTES / BEGINNING_PART);
    let left_out = lines.len() - beginning - end;
    let mut text = joined(&lines[..beginning]);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "[… {left_out} lines are left out here …]");
    text + &joined(&lines[lines.len() - end..])
}

/// How many of `lines` fit into `room`, from the first on.
fn fitting<'a>(lines: impl Iterator<Item = &'a String>, room: usize) -> usize {
    let used = lines.scan(0, |used, line| {
        *used += cost(line);
        Some(*used)
    });
    used.take_while(|used| *used <= room).count()
}

fn cost(line: &str) -> usize {
    line.len() + "\n".len()
}

fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        let text = format!("[0] agent: {}\n", "x".repeat(MAX_TRANSCRIPT_BYTES / 2));
        assert_eq!(excerpt(text.clone()), text);
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_beginning_and_its_end() {
        let long = format!("[1] agent: begin{}end\n", "x".repeat(MAX_TRANSCRIPT_BYTES));
        let cut = excerpt(format!("[0] customer: hi\n{long}[2] customer: bye\n"));
        assert!(cut.len() < 2 * MAX_LINE_BYTES, "{}", cut.len());
        assert!(cut.starts_with("[0] customer: hi\n[1] agent: begin"), "{}", &cut[..40]);
        assert!(cut.ends_with("end\n[2] customer: bye\n"), "{}", &cut[cut.len() - 40..]);
        assert!(cut.contains(crate::text::TRUNCATED));
    }

    #[test]
    fn lines_in_the_middle_are_left_out_and_counted() {
        let lines = 10_000;
        let text: Vec<String> = (0..lines).map(|n| format!("[{n}] agent: {}", "é".repeat(20))).collect();
        let cut = excerpt(joined(&text));
        assert!(cut.len() <= MAX_TRANSCRIPT_BYTES + 100, "{}", cut.len());
        assert!(cut.starts_with("[0] agent: "));
        assert!(cut.lines().last().unwrap().starts_with("[9999] "));
        let left_out = lines - (cut.lines().count() - 1);
        assert!(cut.contains(&format!("[… {left_out} lines are left out here …]\n")));
    }
}
