//! One line at the bottom of the terminal that says how far something is. Where nobody looks there is none.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use textwrap::core::display_width;

use super::{columns, plain_line};

/// Back to the beginning of the line, and nothing on it (ECMA-48: CR, EL 2).
const WIPE: &str = "\r\u{1b}[2K";
/// Terminals that know of no such thing call themselves so.
const DUMB: &str = "dumb";

/// The line that is shown at present; empty if there is none.
static SHOWN: Mutex<String> = Mutex::new(String::new());

fn shown() -> MutexGuard<'static, String> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows `line` in place of the one before.
pub(crate) fn progress(line: impl std::fmt::Display) {
    if is_seen() {
        let line = cut(&plain_line(&line.to_string()), columns().saturating_sub(1));
        let mut shown = shown();
        if *shown != line {
            write(&format!("{WIPE}{line}"));
            *shown = line;
        }
    }
}

/// Takes the line away.
pub(crate) fn clear_progress() {
    let mut shown = shown();
    if !shown.is_empty() {
        write(WIPE);
        shown.clear();
    }
}

/// Prints with `print` above the line.
pub(super) fn above_progress(print: impl FnOnce()) {
    let shown = shown();
    if shown.is_empty() {
        return print();
    }
    write(WIPE);
    print();
    write(&shown);
}

fn is_seen() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != DUMB)
}

/// A line that would not fit would move to the next one, where it stays.
fn cut(line: &str, most: usize) -> String {
    let mut width = 0;
    let fits = line.chars().take_while(|c| {
        width += display_width(c.encode_utf8(&mut [0; 4]));
        width <= most
    });
    fits.collect()
}

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that is gone is no reason to stop working.
    drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(cut("3 of 4 done", 6), "3 of 4");
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut("short", 80), "short");
    }
}
