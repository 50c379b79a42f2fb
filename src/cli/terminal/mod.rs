//! What people see: on standard error, coloured only on a terminal and without `NO_COLOR`.
//! Machine output is JSON lines on standard output.

mod branches;
mod cells;
mod letters;
mod outcomes;
mod plain;
mod progress;
mod run_tree;
#[cfg(test)]
mod samples;
mod story;
mod tally;
mod tree;

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::error::CliError;
pub(super) use cells::{CellSummary, cells_table};
pub(super) use letters::letter;
pub(super) use outcomes::{seconds, status, style_of, table};
pub(super) use plain::{plain, plain_line};
pub(super) use progress::{clear_progress, progress};
pub(super) use run_tree::run_tree;
pub(super) use story::{Story, outcome_line};
pub(super) use tally::Tally;
pub(super) use tree::{TreeSpan, tree};

/// Width of what is printed, in columns, where nothing narrower is asked for: good to read.
pub(super) const WIDTH: usize = 100;
/// The least width, in columns: below it tables and trees are no longer any.
const LEAST_WIDTH: usize = 40;
/// Columns of a terminal that does not say how many it has, as on the VT100.
const USUAL_COLUMNS: usize = 80;

/// Headings.
pub(super) const HEADING: Style = Style::new().bold();
/// What matters less.
pub(super) const DIM: Style = Style::new().dimmed();
/// What is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What is neither.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();

/// `text` in `style`; the style is left out where there is no colour.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Width of what is printed, in columns: no more than the terminal has.
pub(super) fn width() -> usize {
    if std::io::stderr().is_terminal() { columns().clamp(LEAST_WIDTH, WIDTH) } else { WIDTH }
}

/// Columns of the terminal.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let columns = size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.unwrap_or(USUAL_COLUMNS)
}

/// Prints lines for people.
pub(super) fn say(text: impl std::fmt::Display) {
    // A closed standard error is no reason to stop working.
    progress::above_progress(|| drop(writeln!(anstream::stderr(), "{text}")));
}

/// Prints why a command could not do what it was asked to. Errors repeat what strangers said.
pub(super) fn problem(text: &str) {
    say(format_args!("{} {}", styled(BAD.bold(), "error:"), plain(text)));
}

/// As [`problem`], and what to do next.
pub(super) fn hinted_problem(text: &str, hint: &str) {
    problem(text);
    say(format_args!("{} {}", styled(WARN, "what to do:"), plain(hint)));
}

/// Prints one JSON line for programs.
pub(super) fn emit(value: &impl Serialize) -> Result<(), CliError> {
    let line = serde_json::to_string(value).map_err(CliError::refused)?;
    print(&format!("{}\n", plain::plain_json(&line)))
}

/// Prints what is a JSON text already, in one line.
pub(super) fn print_json(json: &str) -> Result<(), CliError> {
    print(&format!("{}\n", plain::plain_json(&json.replace(['\n', '\r'], " "))))
}

/// Prints on standard output what was asked for.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => CliError::NobodyReads,
        _ => CliError::refused(format!("the standard output cannot be written to: {error}")),
    })
}
