//! Values inside a JSON text: only the finished text tells whether a value stands inside a string.
//!
//! `{"history": {{ messages }}}` takes the array as it is, `{"history": "{{ messages }}"}` takes it as the text
//! of a string; `{"line": {{ input }}}` takes the line as a string of its own. While a template renders, each value is
//! put between two marks that no author and no agent can know; then the text is read as JSON reads it, and each value
//! is settled by where it stands. So no value changes what the text around it means.

use std::borrow::Cow;
use std::sync::LazyLock;

use uuid::Uuid;

/// What a JSON `null` is inside a string.
const NULL: &str = "null";
/// Ends a mark. It is of a private use area, and what is before it are digits: filters that change letters leave it alone.
const MARK_END: &str = "\u{e001}";
/// What a mark stands for, in its last digit.
const END: &str = "0\u{e001}";
const TEXT: &str = "1\u{e001}";
const JSON: &str = "2\u{e001}";
const LITERAL: &str = "3\u{e001}";
/// Takes the place of what looks like a mark inside a value.
const NO_MARK: &str = "\u{fffd}";

/// Begins every mark of this process.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{e000}{}", Uuid::new_v4().as_u128()));

/// A piece of a rendered text.
enum Piece<'a> {
    /// What the template's author wrote.
    Plain(&'a str),
    /// A text of the run.
    Text(&'a str),
    /// A JSON value of the run.
    Json(&'a str),
    /// A text that is written in an expression of the template.
    Literal(&'a str),
}

/// Marks `text` as a text whose place decides how it is written.
pub(super) fn text(text: &str) -> String {
    marked(TEXT, text)
}

/// Marks `json` as a value whose place decides how it is written.
pub(super) fn json(json: &str) -> String {
    marked(JSON, json)
}

/// Marks `text` as the template's own: outside strings it is JSON as it is.
pub(super) fn literal(text: &str) -> String {
    marked(LITERAL, text)
}

fn marked(kind: &str, value: &str) -> String {
    let value = value.replace(MARK.as_str(), NO_MARK);
    format!("{mark}{kind}{value}{mark}{END}", mark = MARK.as_str())
}

/// `text` as it is written between the quotes of a JSON string.
pub(super) fn inside_string(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes every marked value the way its place needs.
pub(super) fn settle(rendered: &str) -> String {
    let mut writer = Writer::default();
    for piece in pieces(rendered) {
        writer.write(&piece);
    }
    writer.settled
}

/// `text` with its marked values as they are: it was made of them, and is a value itself.
pub(super) fn unmarked(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK.as_str()) {
        return Cow::Borrowed(text);
    }
    let values = pieces(text).into_iter().map(|piece| match piece {
        Piece::Json(NULL) => "",
        Piece::Plain(value) | Piece::Text(value) | Piece::Json(value) | Piece::Literal(value) => value,
    });
    Cow::Owned(values.collect())
}

/// Where a filter cut a mark off, a value goes to the next one or to the end: nothing of it becomes the author's text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, behind)) = rest.split_once(MARK.as_str()) {
        pieces.push(Piece::Plain(before));
        let (piece, after) = value(behind);
        pieces.extend(piece);
        rest = after;
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

/// The value that begins behind a mark, and what comes after it.
fn value(behind: &str) -> (Option<Piece<'_>>, &str) {
    let (kind, inside) = behind.split_at(behind.find(MARK_END).map_or(0, |at| at + MARK_END.len()));
    let (value, rest) = inside.split_at(inside.find(MARK.as_str()).unwrap_or(inside.len()));
    let piece = match kind {
        TEXT => Piece::Text(value),
        JSON => Piece::Json(value),
        LITERAL => Piece::Literal(value),
        _ => return (None, inside),
    };
    let end = rest.strip_prefix(MARK.as_str()).and_then(|rest| rest.strip_prefix(END));
    (Some(piece), end.unwrap_or(rest))
}

/// Reads JSON as far as knowing whether a string is open, and writes values into it.
#[derive(Default)]
struct Writer {
    settled: String,
    in_string: bool,
    escaped: bool,
}

impl Writer {
    fn write(&mut self, piece: &Piece<'_>) {
        match *piece {
            Piece::Plain(text) => self.plain(text),
            Piece::Literal(text) if !self.in_string => self.plain(text),
            Piece::Json(json) if !self.in_string => self.settled.push_str(json),
            Piece::Text(text) if !self.in_string => self.settled.push_str(&quoted(text)),
            Piece::Json(NULL) => self.inside(""),
            Piece::Text(text) | Piece::Json(text) | Piece::Literal(text) => self.inside(text),
        }
    }

    fn plain(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
        self.settled.push_str(text);
    }

    /// A backslash right before the value would take the first character of it.
    fn inside(&mut self, text: &str) {
        if std::mem::take(&mut self.escaped) {
            self.settled.push('\\');
        }
        self.settled.push_str(&inside_string(text));
    }
}
