//! Text for people: cut where it is too long, errors with all their causes.

/// Ends a text that was cut.
pub const TRUNCATED: &str = "… [truncated]";

/// The most bytes of words that come from anywhere: enough for an error's message, too little to flood an event.
pub const MAX_WORDS_BYTES: usize = 2048;

/// `text`, cut at a character's boundary behind at most `max_bytes`, and marked, if it is longer.
#[must_use]
pub fn cut(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    format!("{}{TRUNCATED}", &text[..text.floor_char_boundary(max_bytes)])
}

/// `text` with its middle left out, if it is longer than about `max_bytes`: what leads up to a value that is too long
/// and what follows it both stay.
#[must_use]
pub fn cut_middle(text: &str, max_bytes: usize) -> String {
    /// The end gets one in this many of the bytes.
    const END_PART: usize = 4;
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = max_bytes / END_PART;
    let last = text.ceil_char_boundary(text.len() - end);
    format!("{} {}", cut(text, max_bytes - end), &text[last..])
}

/// How alike two names have to be, of 1, for one to be taken for a misspelling of the other.
const ALIKE: f64 = 0.6;

/// The one of `names` that is most likely meant by `wanted`, if one is near enough.
#[must_use]
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase());
    let rated = names.into_iter().map(|name| (likeness(name), name));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name)
}

/// An error with all its causes in one line, each said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.map(ToString::to_string).fold(error.to_string(), |said, cause| {
        // Many libraries repeat their cause themselves.
        if said.ends_with(&cause) { said } else { format!("{said}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_characters_boundary_and_marked() {
        assert_eq!(cut("ééé", 6), "ééé");
        assert_eq!(cut("ééé", 5), format!("éé{TRUNCATED}"));
        assert_eq!(cut("xééé", 6), format!("xéé{TRUNCATED}"));
        assert_eq!(cut("é", 0), TRUNCATED);
    }

    #[test]
    fn a_misspelt_name_is_known_again_and_a_strange_one_is_not() {
        let names = ["worker.concurrency", "worker.drain_seconds", "run.max_turns"];
        assert_eq!(nearest("worker.concurency", names), Some("worker.concurrency"));
        assert_eq!(nearest("Run.Max_Turns", names), Some("run.max_turns"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_long_middle_is_left_out_and_both_ends_stay() {
        assert_eq!(cut_middle("short", 8), "short");
        assert_eq!(cut_middle("abcdefghijé", 8), format!("abcdef{TRUNCATED} é"));
        assert_eq!(cut_middle("aééééé", 4), format!("aé{TRUNCATED} "));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = std::io::Error::other(std::fmt::Error);
        assert_eq!(
            chain(&crate::execution::failure::Unavailable::new("reading", cause)).matches(": ").count(),
            1
        );
    }
}
