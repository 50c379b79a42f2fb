//! Text as words that can be compared: without case, accents and punctuation.

use super::super::mending::QUOTES;

/// The words of `text`. Scripts that put no spaces between words give a word for each character.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() && !is_unspaced(c) {
            word.push(plain(c));
        } else if is_apostrophe(c) && !word.is_empty() {
            word.push('\'');
        } else if !is_combining(c) {
            finish(&mut word, &mut words);
            if c.is_alphanumeric() {
                words.push(c.to_string());
            }
        }
    }
    finish(&mut word, &mut words);
    words
}

fn finish(word: &mut String, words: &mut Vec<String>) {
    let finished = std::mem::take(word);
    let finished = finished.trim_end_matches('\'');
    if !finished.is_empty() {
        words.push(finished.to_owned());
    }
}

/// How much is said: a character of a script without spaces is about half a word, which is 2.
pub(super) fn weight(words: &[String]) -> usize {
    let of = |word: &String| if word.chars().any(is_unspaced) { 1 } else { 2 };
    words.iter().map(of).sum()
}

/// Scripts without spaces between words: Thai to Burmese, Khmer, kana, Chinese characters and what surrounds them.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x30FF | 0x3400..=0x9FFF | 0x20000..=0x323AF)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | 'ʼ')
}

fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x200B..=0x200D | 0xFE0F)
}

/// A Latin letter without its accent: people and models leave them out.
fn plain(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        other => other,
    }
}

/// The sentences of `text`; a line is one at least.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let (mut sentences, mut start) = (Vec::new(), 0);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let followed = chars.peek().is_none_or(|(_, next)| next.is_whitespace() || !next.is_alphanumeric());
        if matches!(c, '\n' | '。' | '！' | '？') || (matches!(c, '.' | '!' | '?' | '…') && followed) {
            let end = at + c.len_utf8();
            sentences.push(text[start..end].trim());
            start = end;
        }
    }
    sentences.push(text[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// `text` without what it quotes: those are somebody else's words. A text that is nothing but a quotation stays.
pub(super) fn unquoted(text: &str) -> String {
    let mut rest = without_single_quotes(text);
    for (open, close) in QUOTES {
        rest = without_pairs(&rest, open, close);
    }
    if words(&rest).is_empty() { text.to_owned() } else { rest }
}

/// An apostrophe is a quotation mark where a word begins; its partner stands where one ends.
fn without_single_quotes(text: &str) -> String {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('\'') {
        let (before, behind) = (&rest[..start], &rest[start + 1..]);
        kept.push_str(before);
        let opens = is_edge(kept.chars().last()) && behind.starts_with(char::is_alphanumeric);
        let ends = |(at, _): &(usize, &str)| is_edge(behind[at + 1..].chars().next());
        let close = behind.match_indices('\'').find(ends).filter(|_| opens);
        kept.push(if close.is_some() { ' ' } else { '\'' });
        rest = close.map_or(behind, |(at, _)| &behind[at + 1..]);
    }
    kept.push_str(rest);
    kept
}

fn without_pairs(text: &str, open: char, close: char) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(open) {
        let inside = start + open.len_utf8();
        let Some(length) = rest[inside..].find(close) else { break };
        kept.push_str(&rest[..start]);
        kept.push(' ');
        rest = &rest[inside + length + close.len_utf8()..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_without_case_accents_and_punctuation() {
        assert_eq!(words("Où EST-il? J’ai 2,5 l'été"), ["ou", "est", "il", "j'ai", "2", "5", "l'ete"]);
        assert_eq!(words("AIです。ok"), ["ai", "で", "す", "ok"]);
        assert_eq!(words("Guten Tag 'Welt'"), ["guten", "tag", "welt"]);
    }

    #[test]
    fn two_characters_without_spaces_weigh_as_much_as_a_word() {
        assert_eq!((weight(&words("hello world")), weight(&words("你好世界"))), (4, 4));
    }

    #[test]
    fn sentences_end_where_people_see_it() {
        assert_eq!(sentences("It is 2.5 m. Really? ok\nbye"), ["It is 2.5 m.", "Really?", "ok", "bye"]);
        assert_eq!(sentences("好的。谢谢！"), ["好的。", "谢谢！"]);
    }

    #[test]
    fn what_is_quoted_is_somebody_elses() {
        assert_eq!(words(&unquoted("you said \"how can I help\" and left")), ["you", "said", "and", "left"]);
        assert_eq!(unquoted("\"all of it\""), "\"all of it\"");
        assert_eq!(unquoted("5\" wide"), "5\" wide");
        assert_eq!(unquoted("I don't, it's"), "I don't, it's");
        assert_eq!(
            words(&unquoted("I don't say 'how can I help', it's odd")),
            ["i", "don't", "say", "it's", "odd"]
        );
        assert_eq!(unquoted("the boys' bikes"), "the boys' bikes");
    }
}
