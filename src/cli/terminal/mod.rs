//! What people see: on standard error, coloured only on a terminal and without `NO_COLOR`.
//! Machine output is JSON lines on standard output.

mod letters;
mod outcomes;
mod plain;
mod story;
mod tree;

use std::io::{ErrorKind, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::error::CliError;
pub(super) use letters::letter;
pub(super) use outcomes::{seconds, status, style_of, table};
pub(super) use plain::{plain, plain_line};
pub(super) use story::Story;
pub(super) use tree::{TreeSpan, tree};

/// Width of what is printed, in columns: narrow enough for any terminal and for reading.
pub(super) const WIDTH: usize = 100;

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

/// Prints lines for people.
pub(super) fn say(text: impl std::fmt::Display) {
    // A closed standard error is no reason to stop working.
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Prints why a command could not do what it was asked to. Errors repeat what strangers said.
pub(super) fn problem(text: &str) {
    say(format_args!("{} {}", styled(BAD.bold(), "error:"), plain(text)));
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
