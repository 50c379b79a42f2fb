//! Texts that a template's author writes as the outcome of an expression, such as `{{ "," if not loop.last }}`.
//!
//! In JSON they are the author's own JSON, where texts of the run become strings. Once an expression is evaluated nobody
//! can tell them apart, so they are told apart before.

use minijinja::Error;
use minijinja::machinery::{Token, Tokenizer};
use minijinja::syntax::SyntaxConfig;

use super::NAME;

/// The filter that marks them.
pub(super) const FILTER: &str = "literal";

/// `source` with the filter behind every such text.
pub(super) fn marked(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    let (mut reader, mut ends) = (OutcomeReader::default(), Vec::new());
    let mut tokenizer = Tokenizer::new(source, NAME, false, syntax.clone());
    while let Some((token, span)) = tokenizer.next_token()? {
        ends.extend(reader.take(&token, span.end_offset as usize));
    }
    let (mut marked, mut written) = (String::with_capacity(source.len()), 0);
    for end in ends {
        marked.push_str(source.get(written..end).unwrap_or_default());
        marked.push('|');
        marked.push_str(FILTER);
        written = end;
    }
    marked.push_str(source.get(written..).unwrap_or_default());
    Ok(marked)
}

/// Reads tokens in order and finds texts that are all of an outcome.
#[derive(Default)]
struct OutcomeReader {
    in_output: bool,
    brackets: usize,
    /// The next token begins what the expression may come to.
    begins_outcome: bool,
    /// Where the last token ends, if it is a text that begins an outcome.
    text_end: Option<usize>,
}

impl OutcomeReader {
    /// Takes the next token, which ends at `end`. Answers where the text before it ends, if that was all of an outcome.
    fn take(&mut self, token: &Token<'_>, end: usize) -> Option<usize> {
        let is_outcome = |_: &usize| ends_outcome(token);
        let outcome = self.text_end.take().filter(is_outcome);
        self.text_end = (self.begins_outcome && is_text(token)).then_some(end);
        self.follow(token);
        let outermost = self.in_output && self.brackets == 0;
        self.begins_outcome = outermost && matches!(token, Token::VariableStart | Token::Ident("else"));
        outcome
    }

    fn follow(&mut self, token: &Token<'_>) {
        match token {
            Token::VariableStart => (self.in_output, self.brackets) = (true, 0),
            Token::VariableEnd => self.in_output = false,
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => self.brackets += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            _ => {}
        }
    }
}

fn ends_outcome(token: &Token<'_>) -> bool {
    matches!(token, Token::VariableEnd | Token::Ident("if"))
}

fn is_text(token: &Token<'_>) -> bool {
    matches!(token, Token::Str(_) | Token::String(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_that_is_all_of_an_outcome_is_marked() {
        for (source, expected) in [
            ("ü{{ ',' }}", "ü{{ ','|literal }}"),
            ("{{- \"a\\n\" if x -}}", "{{- \"a\\n\"|literal if x -}}"),
            (
                "{{ 'ü' if x == 'b' else 'c' if y else 'd' }}",
                "{{ 'ü'|literal if x == 'b' else 'c'|literal if y else 'd'|literal }}",
            ),
            ("{{ x if x else 'c' }}", "{{ x if x else 'c'|literal }}"),
            ("{{ 'a' ~ x }}{{ 'a' | upper }}{{ f('a') }}", "{{ 'a' ~ x }}{{ 'a' | upper }}{{ f('a') }}"),
            ("{% if 'a' %}'b'{% endif %}{% set x = 'a' %}", "{% if 'a' %}'b'{% endif %}{% set x = 'a' %}"),
            ("{{ ('a' if x else 'b') }}", "{{ ('a' if x else 'b') }}"),
        ] {
            assert_eq!(marked(source, &SyntaxConfig::default()).unwrap(), expected);
        }
    }
}
