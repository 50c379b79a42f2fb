//! Text of strangers, made harmless. Agents, models and files say what they like, and a terminal obeys what it is
//! told: to move, to hide, to retitle, to turn the line around. Here such characters become visible instead.

use std::fmt::Write as _;

/// Columns for a tab.
const TAB: &str = "    ";
/// The pictures of the control characters below the space begin here in Unicode.
const PICTURES: u32 = 0x2400;
/// The picture of DEL.
const PICTURE_OF_DELETE: char = '\u{2421}';

/// `text` with its lines, and with everything visible that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => shown.push(c),
            '\t' => shown.push_str(TAB),
            '\0'..='\u{1f}' => {
                shown.push(char::from_u32(PICTURES + u32::from(c)).unwrap_or(PICTURE_OF_DELETE));
            }
            '\u{7f}' => shown.push(PICTURE_OF_DELETE),
            c if is_obeyed(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// `text` in one line.
pub(crate) fn plain_line(text: &str) -> String {
    plain(text).replace('\n', " ")
}

/// JSON with the same meaning, in which nothing is left that a terminal would obey. Its strings are the only place
/// for such characters, and there each may be written as `\uXXXX` (RFC 8259, section 7).
pub(crate) fn plain_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_obeyed(c) {
            // Writing into a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// DEL and the controls of ISO 6429 (C1), line separators, and what changes the direction of writing (Unicode UAX 9)
/// or begins an annotation.
fn is_obeyed(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_visible() {
        let cases = [
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "␛[2J␛]0;owned␇"),
            ("\u{9b}31m \u{90}q\u{9c}", "\\u{9b}31m \\u{90}q\\u{9c}"),
            ("abc\u{202e}fed\u{2066}\u{200f}", "abc\\u{202e}fed\\u{2066}\\u{200f}"),
            ("a\rb\u{8}\u{7f}\0", "a␍b␈␡␀"),
        ];
        for (text, shown) in cases {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(plain("Größe L\r\n\tund 👩‍🚀 שלום"), "Größe L\n    und 👩‍🚀 שלום");
        assert_eq!(plain_line("a\nb"), "a b");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "said": "\u{1b}[2J \u{9b}2J \u{202e} \u{7f} é" });
        let shown = plain_json(&value.to_string());
        assert!(!shown.chars().any(|c| c.is_control() || is_obeyed(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
