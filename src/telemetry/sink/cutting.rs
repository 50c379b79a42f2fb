//! Texts that are larger than what the platform keeps: it would leave only a mark, so a beginning is kept here.

use serde_json::json;

use super::wire::{Function, ToolCall};
use crate::events;

/// The most that the platform keeps of a message's text, and of the rest of the message, in bytes.
pub(super) const MOST_KEPT: usize = 64 * 1024;
/// What a tool call takes beside its arguments, in bytes; roughly.
const CALL_FRAME: usize = 256;

/// A text, as much of it as is kept, and how long it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    kept: String,
    bytes: usize,
}

impl Words {
    pub(super) fn new(text: &str) -> Self {
        let kept = text[..text.floor_char_boundary(MOST_KEPT)].to_owned();
        Self { kept, bytes: text.len() }
    }

    /// The text in `most` bytes; what is missing is said in the platform's own words.
    pub(super) fn within(&self, most: usize) -> String {
        if self.bytes <= most {
            return self.kept.clone();
        }
        let mark = format!("\n[truncated: message content was {} bytes (cap {most})]", self.bytes);
        let end = self.kept.floor_char_boundary(most.saturating_sub(mark.len()));
        format!("{}{mark}", &self.kept[..end])
    }
}

/// The tool calls of message `index` in about `most` bytes. Arguments that do not fit are replaced, since a part of them is
/// no JSON, and calls that do not fit even then are left out.
pub(super) fn tool_calls(calls: &[events::ToolCall], index: u32, most: usize) -> Vec<ToolCall> {
    let share = (most / calls.len().max(1)).saturating_sub(CALL_FRAME);
    let is_large = size(calls) > most;
    let whole = calls.iter().enumerate().map(|(number, call)| {
        let arguments = call.arguments.to_string();
        let arguments =
            if is_large && arguments.len() > share { left_out(arguments.len()) } else { arguments };
        // Not every agent names its calls, and the platform wants a name.
        let id = if call.id.is_empty() { format!("call_{index}_{number}") } else { call.id.clone() };
        ToolCall { id, kind: "function", function: Function { name: call.name.clone(), arguments } }
    });
    let mut left = most;
    let fits = |call: &ToolCall| {
        let size = CALL_FRAME + call.id.len() + call.function.name.len() + call.function.arguments.len();
        let fits = size <= left || !is_large;
        left = left.saturating_sub(size);
        fits
    };
    whole.take_while(fits).collect()
}

fn size(calls: &[events::ToolCall]) -> usize {
    let sizes = calls
        .iter()
        .map(|call| call.arguments.to_string().len() + call.name.len() + call.id.len() + CALL_FRAME);
    sizes.sum()
}

fn left_out(bytes: usize) -> String {
    json!({ "truncated": format!("the arguments were {bytes} bytes") }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: usize) -> events::ToolCall {
        events::ToolCall {
            id: String::new(),
            name: "find".to_owned(),
            arguments: json!("x".repeat(arguments)),
        }
    }

    #[test]
    fn a_text_that_fits_stays_and_a_longer_one_keeps_its_beginning_and_says_how_long_it_was() {
        assert_eq!(Words::new("é").within(2), "é");
        let long = "é".repeat(MOST_KEPT);
        for most in [MOST_KEPT, 1024] {
            let cut = Words::new(&long).within(most);
            let mark = format!("[truncated: message content was {} bytes (cap {most})]", long.len());
            assert!(
                cut.len() <= most && cut.len() > most - 4 && cut.starts_with('é') && cut.ends_with(&mark)
            );
        }
    }

    #[test]
    fn only_the_arguments_that_do_not_fit_are_replaced_and_every_call_has_a_name() {
        let told = tool_calls(&[call(10), call(MOST_KEPT)], 3, MOST_KEPT);
        assert_eq!((told[0].id.as_str(), told[1].id.as_str()), ("call_3_0", "call_3_1"));
        assert_eq!(told[0].function.arguments, format!("\"{}\"", "x".repeat(10)));
        assert_eq!(told[1].function.arguments, r#"{"truncated":"the arguments were 65538 bytes"}"#);
    }

    #[test]
    fn more_calls_than_fit_are_left_out() {
        let told = tool_calls(&vec![call(1); 1000], 0, 8 * 1024);
        assert!(!told.is_empty() && told.len() < 40, "{}", told.len());
    }
}
