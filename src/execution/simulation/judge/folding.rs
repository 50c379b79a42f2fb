//! Text as quotes are compared: what a model may well write differently when it quotes is left out or made the same.

/// Characters that an ellipsis is made of, and how many full stops each is worth.
const DOTS: [(char, usize); 4] = [('.', 1), ('。', 1), ('…', FULL_ELLIPSIS), ('⋯', FULL_ELLIPSIS)];
/// So many full stops are an ellipsis.
const FULL_ELLIPSIS: usize = 3;

/// The full-width forms of ASCII, and how far they are from it.
const FULL_WIDTH: std::ops::RangeInclusive<char> = '\u{FF01}'..='\u{FF5E}';
const FULL_WIDTH_OFFSET: u32 = 0xFEE0;

/// Scripts that write a syllable or a word with one character: East Asian ones, as blocks of Unicode.
const DENSE_SCRIPTS: [std::ops::RangeInclusive<char>; 6] = [
    '\u{1100}'..='\u{11FF}',
    '\u{2E80}'..='\u{9FFF}',
    '\u{A960}'..='\u{A97F}',
    '\u{AC00}'..='\u{D7FF}',
    '\u{F900}'..='\u{FAFF}',
    '\u{20000}'..='\u{3FFFF}',
];
/// What one character of those scripts is worth in letters of an alphabet.
const DENSE_WEIGHT: usize = 3;

/// A character of folded text and where it comes from.
pub(super) struct Folded {
    /// The character.
    pub(super) char: char,
    /// Where its original begins, in bytes.
    pub(super) start: usize,
    /// Where its original ends, in bytes.
    pub(super) end: usize,
}

/// `text` folded: without white space, quotation marks, emphasis and ellipses, in lower case, with one kind of dash.
pub(super) fn folded(text: &str) -> impl Iterator<Item = Folded> {
    let mut after_dash = false;
    let kept = pieces(text).flat_map(|(offset, piece)| {
        piece
            .char_indices()
            .map(move |(at, char)| (offset + at, char))
            .filter(|(_, char)| !is_left_out(*char))
    });
    let lower = kept.flat_map(|(start, char)| {
        let end = start + char.len_utf8();
        plain(char).to_lowercase().map(move |char| Folded { char: final_form(char), start, end })
    });
    lower.filter(move |folded| {
        let is_dash = folded.char == '-';
        !(std::mem::replace(&mut after_dash, is_dash) && is_dash)
    })
}

/// The folded text alone.
pub(super) fn fold(text: &str) -> String {
    folded(text).map(|folded| folded.char).collect()
}

/// What stands between the ellipses of `text`, folded, without the punctuation at its ends.
pub(super) fn segments(text: &str) -> Vec<String> {
    pieces(text)
        .map(|(_, piece)| without_edges(&fold(piece)).to_owned())
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// Folded text without the punctuation at its ends, which a model adds or leaves out when it quotes.
pub(super) fn without_edges(folded: &str) -> &str {
    folded.trim_matches(is_edge)
}

/// How much folded text says, in letters of an alphabet.
pub(super) fn weight(folded: &str) -> usize {
    let dense = |char: &char| DENSE_SCRIPTS.iter().any(|script| script.contains(char));
    let weigh = |char: char| if dense(&char) { DENSE_WEIGHT } else { 1 };
    folded.chars().filter(|char| char.is_alphanumeric()).map(weigh).sum()
}

/// The parts of `text` between ellipses, with their offsets. It looks at each character once.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some(0);
    std::iter::from_fn(move || {
        let start = rest?;
        let ellipsis = next_ellipsis(text, start);
        rest = ellipsis.map(|(_, end)| end);
        let end = ellipsis.map_or(text.len(), |(at, _)| at);
        Some((start, &text[start..end]))
    })
}

/// Where the first ellipsis behind `start` begins and ends.
fn next_ellipsis(text: &str, start: usize) -> Option<(usize, usize)> {
    let (mut run, mut dots) = (start, 0);
    for (at, char) in text[start..].char_indices() {
        match DOTS.iter().find(|(dot, _)| *dot == char) {
            Some((_, worth)) => dots += worth,
            None if dots >= FULL_ELLIPSIS => return Some((run, start + at)),
            None => (run, dots) = (start + at + char.len_utf8(), 0),
        }
    }
    (dots >= FULL_ELLIPSIS).then_some((run, text.len()))
}

/// Left out: white space (other scripts have none, and lines are wrapped), quotation marks (they are nested and
/// changed), Markdown's emphasis, and what cannot be seen.
fn is_left_out(char: char) -> bool {
    let is_quotation_mark = matches!(
        char,
        '"' | '\'' | '´' | '‘'..='‟' | '′' | '″' | '«' | '»' | '‹' | '›' | '「'..='』' | '〝'..='〟' | '＂' | '＇'
    );
    let is_emphasis = matches!(char, '*' | '_' | '`' | '~');
    let is_invisible = matches!(char, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FE0F}' | '\u{FEFF}')
        || matches!(char, '\u{61C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{E0000}'..='\u{E007F}');
    char.is_whitespace() || char.is_control() || is_quotation_mark || is_emphasis || is_invisible
}

fn plain(char: char) -> char {
    match char {
        '‐'..='―' | '−' | '﹘' | '﹣' | '－' => '-',
        wide if FULL_WIDTH.contains(&wide) => {
            char::from_u32(u32::from(wide) - FULL_WIDTH_OFFSET).unwrap_or(wide)
        }
        other => other,
    }
}

/// Greek has a letter of its own at the end of a word, which capitals do not have.
fn final_form(char: char) -> char {
    if char == 'ς' { 'σ' } else { char }
}

fn is_edge(char: char) -> bool {
    matches!(char, '.' | ',' | ';' | ':' | '!' | '?' | '¡' | '¿' | '。' | '、' | '·')
        || matches!(char, '(' | ')' | '[' | ']' | '{' | '}' | '【' | '】')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written_differently_is_the_same() {
        let same = [
            ("I am  SORRY\nabout it", "i am sorry about it"),
            ("It’s “done”", "It's \"done\""),
            ("«Oui»", "Oui"),
            ("well – no", "well -- no"),
            ("**30** `euros`", "30 euros"),
            ("wait… what", "wait what"),
            ("wait ... what", "wait what"),
            ("返金 いたし\nます", "返金いたします"),
            ("１２３！", "123!"),
            ("ΟΔΟΣ", "οδος"),
            ("soft\u{AD}ware", "software"),
            ("left \u{202E}right\u{2069}", "left right"),
        ];
        for (one, other) in same {
            assert_eq!(fold(one), fold(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn what_means_something_stays_different() {
        for (one, other) in [("1.50", "150"), ("-5", "5"), ("can", "can't"), ("$5", "€5"), ("ja", "já")] {
            assert_ne!(fold(one), fold(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn segments_stand_between_ellipses() {
        assert_eq!(segments("I am sorry … a refund."), ["iamsorry", "arefund"]);
        assert_eq!(segments("... [...] I refund you 1.50..."), ["irefundyou1.50"]);
        assert_eq!(segments("申し訳。。。返金"), ["申し訳", "返金"]);
        assert_eq!(segments("…"), Vec::<String>::new());
    }

    #[test]
    fn every_character_knows_where_it_comes_from() {
        let text = "Ja … “ÜBER” İ";
        for folded in folded(text) {
            let original = &text[folded.start..folded.end];
            assert!(
                fold(original).contains(folded.char),
                "{original:?} is not where {:?} is from",
                folded.char
            );
        }
    }

    #[test]
    fn a_character_of_a_dense_script_says_more_than_a_letter() {
        assert_eq!(weight(&fold("refund!")), 6);
        assert_eq!(weight(&fold("返金します")), 15);
        assert_eq!(weight(&fold("환불")), 6);
        assert_eq!(weight(&fold("👍 …")), 0);
    }
}
