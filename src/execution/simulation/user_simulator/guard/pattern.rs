//! Patterns of words, in a notation that lists of phrases can be written in.

use super::words::words;

/// The most words between two that a pattern wants close to each other.
const MAX_GAP: usize = 4;

/// A phrase. `a|b` is one word or the other, `a*` any word that begins so, `..` a few words of any kind; `^` in front
/// is the beginning of a sentence, and `$` behind its end. Case, accents and punctuation do not matter.
#[derive(Debug)]
pub(super) struct Pattern {
    begins_sentence: bool,
    elements: Vec<Element>,
}

#[derive(Debug)]
enum Element {
    Gap,
    End,
    Word(Vec<Form>),
}

#[derive(Debug)]
struct Form {
    text: String,
    open: bool,
}

impl Pattern {
    /// The pattern that `notation` says.
    pub(super) fn parse(notation: &str) -> Self {
        let phrase = notation.strip_prefix('^');
        let elements = phrase.unwrap_or(notation).split_whitespace().flat_map(elements).collect();
        Self { begins_sentence: phrase.is_some(), elements }
    }

    /// Where in `sentence` the phrase begins, if it is there.
    pub(super) fn find(&self, sentence: &[String]) -> Option<usize> {
        let last = if self.begins_sentence { 0 } else { sentence.len() };
        (0..=last.min(sentence.len())).find(|start| matches(&self.elements, &sentence[*start..]))
    }
}

fn elements(notation: &str) -> Vec<Element> {
    if notation == ".." {
        return vec![Element::Gap];
    }
    if notation == "$" {
        return vec![Element::End];
    }
    if !notation.contains('|') && words(notation).len() > 1 {
        return words(notation)
            .into_iter()
            .map(|text| Element::Word(vec![Form { text, open: false }]))
            .collect();
    }
    let form = |alternative: &str| {
        let open = alternative.ends_with('*');
        Form { text: words(alternative).concat(), open }
    };
    vec![Element::Word(notation.split('|').map(form).collect())]
}

fn matches(elements: &[Element], sentence: &[String]) -> bool {
    match elements.split_first() {
        None => true,
        Some((Element::Gap, rest)) => {
            (0..=MAX_GAP).any(|skipped| sentence.get(skipped..).is_some_and(|behind| matches(rest, behind)))
        }
        Some((Element::End, _)) => sentence.is_empty(),
        Some((Element::Word(forms), rest)) => sentence
            .split_first()
            .is_some_and(|(word, behind)| forms.iter().any(|form| form.is(word)) && matches(rest, behind)),
    }
}

impl Form {
    fn is(&self, word: &str) -> bool {
        if self.open { word.starts_with(&self.text) } else { word == self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(notation: &str, sentence: &str) -> bool {
        Pattern::parse(notation).find(&words(sentence)).is_some()
    }

    #[test]
    fn a_pattern_matches_words_however_they_are_written() {
        assert!(is_in("how can|may i help", "Hi, how may I HELP?"));
        assert!(!is_in("as an ai", "as an aid"));
        assert!(is_in("puis je vous aid*", "En quoi puis-je vous aider ?"));
        assert!(is_in("help $", "how can I help?") && !is_in("help $", "help me"));
        assert!(is_in("i've .. your order", "I've just cancelled your order"));
        assert!(!is_in("^welcome to", "you are welcome to stay"));
        assert!(is_in("何かお手伝い", "他に何かお手伝いできることは"));
    }
}
