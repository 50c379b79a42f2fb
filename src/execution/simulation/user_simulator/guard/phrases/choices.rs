//! Several lines to choose from, where a customer says one.

use super::super::super::mending::QUOTES;

/// The fewest that are a choice.
const FEWEST: usize = 2;
/// The most words in front of a line: `1.` and `Option 1:`.
const MAX_LABEL_WORDS: usize = 2;

/// Whether `text` lists what somebody could say: numbered lines, each of which is a quotation.
pub(super) fn are_in(text: &str) -> bool {
    text.lines().filter(|line| is_choice(line)).count() >= FEWEST
}

fn is_choice(line: &str) -> bool {
    let Some((label, said)) = line.split_once([':', '.', ')']) else { return false };
    let is_numbered = label.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let said = said.trim();
    is_numbered
        && label.split_whitespace().count() <= MAX_LABEL_WORDS
        && QUOTES.iter().any(|(open, close)| said.starts_with(*open) && said.ends_with(*close))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_quotations_are_choices_and_numbered_wishes_are_not() {
        assert!(are_in("Option 1: \"where is it?\"\nOption 2: \"refund, please\""));
        assert!(are_in("1. “where is it?”\n2. “refund, please”"));
        assert!(!are_in("1. a new cable\n2. my money back"));
        assert!(!are_in("Option 1: \"a voucher\" is no good"));
    }
}
