//! Which known key a misspelt one is meant to be.

/// How serde goes on when it has named a key that is not known.
const EXPECTED: &str = ", expected ";
/// One letter in this many may be wrong.
const LETTERS_A_MISTAKE: usize = 3;

/// What serde says of the unknown `key`, with the known key first that is nearest to it, if one is near.
pub(super) fn with_the_nearest(key: &str, reason: &str) -> String {
    let Some((unknown, expected)) = reason.split_once(EXPECTED) else { return reason.to_owned() };
    let known = || expected.split('`').skip(1).step_by(2);
    let key = plain(key);
    let near = known().map(|known| (distance(&key, &plain(known)), known)).min();
    match near {
        Some((mistakes, nearest)) if mistakes <= key.len().max(plain(nearest).len()) / LETTERS_A_MISTAKE => {
            let all: Vec<String> = known().map(|known| format!("`{known}`")).collect();
            format!("{unknown}; is `{nearest}` meant? Known are {}", all.join(", "))
        }
        _ => reason.to_owned(),
    }
}

/// Only letters and digits, in lower case: `tool_called` is `toolCalled`.
fn plain(key: &str) -> Vec<char> {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many letters have to be put in, left out, replaced, or changed with the next one.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, known) in other.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != known);
            let mut fewest = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *known && other[column - 1] == *letter {
                fewest = fewest.min(before[column - 1] + 1);
            }
            current.push(fewest);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_if_it_is_near() {
        let reason = |key| format!("unknown field `{key}`, expected one of `contains`, `matches`, `costUsd`");
        for (key, meant) in
            [("contians", "contains"), ("match", "matches"), ("cost_usd", "costUsd"), ("costUSD", "costUsd")]
        {
            let said = with_the_nearest(key, &reason(key));
            let begin = format!("unknown field `{key}`; is `{meant}` meant? Known are `contains`, `matches`");
            assert!(said.starts_with(&begin), "{said}");
        }
        for key in ["a", "url", "temperature", ""] {
            assert_eq!(with_the_nearest(key, &reason(key)), reason(key));
        }
        assert_eq!(
            with_the_nearest("a", "unknown field `a`, there are no fields"),
            "unknown field `a`, there are no fields"
        );
    }

    #[test]
    fn a_letter_that_changed_places_is_one_mistake() {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        for (one, other, mistakes) in
            [("contians", "contains", 1), ("abc", "", 3), ("abc", "abd", 1), ("ab", "abc", 1)]
        {
            assert_eq!(distance(&letters(one), &letters(other)), mistakes, "{one} {other}");
        }
    }
}
