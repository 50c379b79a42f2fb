//! Taking secrets out of texts that people will see.

use std::cmp::Reverse;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::template::url_component;
use crate::definitions::REDACTED;
use crate::execution::failure::RunFailure;

/// What a URL's path may not hold as it is (WHATWG URL, path percent-encode set).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The shortest secret that is taken out of answers, in bytes.
const SHORTEST_TELLING_SECRET: usize = 6;

/// Knows every form in which a secret may come back: plain, in a URL, in JSON.
#[derive(Clone)]
pub(crate) struct Scrubber {
    /// Longest first, so that a secret that contains another goes as a whole.
    forms: Vec<String>,
}

impl Scrubber {
    /// Learns `secrets`; empty ones are none.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> =
            secrets.into_iter().filter(|secret| !secret.is_empty()).flat_map(forms_of).collect();
        forms.sort_by_key(|form| (Reverse(form.len()), form.clone()));
        forms.dedup();
        Self { forms }
    }

    /// `text` without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| {
            if text.contains(form) { text.replace(form, REDACTED) } else { text }
        })
    }

    /// An agent's answer without secrets. Short ones stay: they occur in what people say, and are no secret there.
    pub(crate) fn scrub_answer(&self, text: &str) -> String {
        let telling = self.forms.iter().filter(|form| form.len() >= SHORTEST_TELLING_SECRET);
        telling.fold(text.to_owned(), |text, form| text.replace(form, REDACTED))
    }

    /// `text`, which broke off somewhere, without secrets and without what may be the beginning of one.
    pub(crate) fn scrub_broken_off(&self, text: &str) -> String {
        let mut scrubbed = self.scrub(text);
        let partial = self.forms.first().map_or(0, |longest| longest.len() - 1);
        let end = scrubbed.floor_char_boundary(scrubbed.len().saturating_sub(partial));
        scrubbed.truncate(end);
        scrubbed
    }

    /// The failure without secrets.
    pub(crate) fn clean(&self, mut failure: RunFailure) -> RunFailure {
        failure.message = self.scrub(&failure.message);
        failure.hint = failure.hint.map(|hint| self.scrub(&hint));
        failure
    }
}

fn forms_of(secret: &str) -> [String; 4] {
    let json = serde_json::Value::from(secret).to_string();
    [
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        url_component(secret),
        utf8_percent_encode(secret, PATH).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_secret_goes_first_so_nothing_of_it_is_left() {
        let scrubber = Scrubber::new(["abc", "abcdef"]);
        assert_eq!(scrubber.scrub("xabcdefx abc"), "x[redacted]x [redacted]");
    }

    #[test]
    fn a_secret_is_found_in_a_url_and_in_json_too() {
        let scrubber = Scrubber::new(["a b\"/ü"]);
        for text in ["a b\"/ü", "a%20b%22%2F%C3%BC", "a%20b%22/%C3%BC", "a b\\\"/ü"] {
            assert_eq!(scrubber.scrub(text), REDACTED, "{text}");
        }
    }

    #[test]
    fn an_empty_secret_changes_nothing() {
        assert_eq!(Scrubber::new([""]).scrub("text"), "text");
    }

    #[test]
    fn the_beginning_of_a_secret_at_a_break_goes_too() {
        let scrubber = Scrubber::new(["hunter2"]);
        assert_eq!(scrubber.scrub_broken_off("it is hunter"), "it is ");
    }
}
