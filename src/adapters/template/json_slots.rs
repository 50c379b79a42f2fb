//! JSON values inside a JSON text: only the finished text tells whether a value stands inside a string.
//!
//! `{"history": {{ messages }}}` takes the array as it is, `{"history": "{{ messages }}"}` takes it as the text
//! of a string. While a template renders, such a value is put between two marks that no author and no agent
//! can know; then the text is read as JSON reads it, and each value is settled by where it stands.

use std::sync::LazyLock;

use uuid::Uuid;

struct Marks {
    begin: String,
    end: String,
}

static MARKS: LazyLock<Marks> = LazyLock::new(|| {
    let nonce = Uuid::new_v4().simple();
    Marks { begin: format!("<json-{nonce}>"), end: format!("</json-{nonce}>") }
});

/// What a JSON `null` is inside a string.
const NULL: &str = "null";

/// Marks `json` as a value whose place decides how it is written.
pub(super) fn slot(json: &str) -> String {
    format!("{}{json}{}", MARKS.begin, MARKS.end)
}

/// `text` as it is written between the quotes of a JSON string.
pub(super) fn inside_string(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Writes every marked value the way its place needs.
pub(super) fn settle(rendered: &str) -> String {
    let mut reader = StringReader::default();
    let mut settled = String::with_capacity(rendered.len());
    let mut rest = rendered;
    while let Some((before, value, after)) = next_slot(rest) {
        reader.read(before);
        settled.push_str(before);
        match value {
            NULL if reader.in_string => {}
            _ if reader.in_string => settled.push_str(&inside_string(value)),
            _ => settled.push_str(value),
        }
        rest = after;
    }
    settled.push_str(rest);
    without_marks(settled)
}

fn next_slot(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(&MARKS.begin)?;
    let (value, after) = rest.split_once(&MARKS.end)?;
    Some((before, value, after))
}

/// A marked value that was made JSON once more leaves marks behind.
fn without_marks(text: String) -> String {
    if text.contains(&MARKS.begin) || text.contains(&MARKS.end) {
        return text.replace(&MARKS.begin, "").replace(&MARKS.end, "");
    }
    text
}

/// Reads JSON as far as knowing whether a string is open.
#[derive(Default)]
struct StringReader {
    in_string: bool,
    escaped: bool,
}

impl StringReader {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}
