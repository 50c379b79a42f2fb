//! Where two requests differ, in a few words.

use serde_json::Value;

use crate::text::{cut, cut_middle};

/// The most bytes of each side that are shown.
const MOST_SHOWN: usize = 200;
/// Characters that are shown before the first one that differs, so that the place is found.
const CONTEXT_CHARS: usize = 40;

/// What stands where only the other side has something.
const NOTHING: &Value = &Value::Null;

/// Names the first place in which `now` differs from what was `recorded`, and shows both sides.
pub(super) fn difference(recorded: &Value, now: &Value) -> String {
    let mut place = String::new();
    let (recorded, now) = first(&mut place, recorded, now);
    let place =
        if place.is_empty() { String::new() } else { format!("at `{}`", place.trim_start_matches('.')) };
    let (recorded, now) = match (recorded, now) {
        (Value::String(recorded), Value::String(now)) => passages(recorded, now),
        _ => (shown(recorded), shown(now)),
    };
    format!("{place}: recorded {recorded}, now {now}").trim().to_owned()
}

/// Of two texts, what stands around the first character in which they differ.
fn passages(recorded: &str, now: &str) -> (String, String) {
    let same = recorded.chars().zip(now.chars()).take_while(|(one, other)| one == other).count();
    let passage = |text: &str| {
        let behind: String = text.chars().skip(same.saturating_sub(CONTEXT_CHARS)).collect();
        let dots = if same > CONTEXT_CHARS { "…" } else { "" };
        format!("\"{dots}{}\"", cut(&behind, MOST_SHOWN))
    };
    (passage(recorded), passage(now))
}

fn first<'a>(place: &mut String, recorded: &'a Value, now: &'a Value) -> (&'a Value, &'a Value) {
    let inner = match (recorded, now) {
        (Value::Object(one), Value::Object(other)) => {
            let differs = |key: &&String| one.get(*key) != other.get(*key);
            one.keys()
                .chain(other.keys())
                .find(differs)
                .map(|key| (format!(".{key}"), one.get(key), other.get(key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            let differs = |index: &usize| one.get(*index) != other.get(*index);
            let index = (0..one.len().max(other.len())).find(differs);
            index.map(|index| (format!("[{index}]"), one.get(index), other.get(index)))
        }
        _ => None,
    };
    let Some((step, recorded, now)) = inner else { return (recorded, now) };
    place.push_str(&step);
    first(place, recorded.unwrap_or(NOTHING), now.unwrap_or(NOTHING))
}

fn shown(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { cut_middle(&value.to_string(), MOST_SHOWN) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_place_that_differs_is_named_with_both_sides() {
        let recorded = json!({ "turn": 2, "transcript": [{ "role": "user", "content": "my mug broke" }] });
        let now = json!({ "turn": 2, "transcript": [{ "role": "user", "content": "my cup broke" }] });
        let told = difference(&recorded, &now);
        assert_eq!(told, r#"at `transcript[0].content`: recorded "my mug broke", now "my cup broke""#);
        let shorter = json!({ "turn": 2, "transcript": [] });
        assert!(difference(&recorded, &shorter).ends_with("now nothing"));
    }

    #[test]
    fn long_values_are_cut() {
        let told = difference(&json!("a".repeat(5_000)), &json!("b".repeat(5_000)));
        assert!(told.len() < 3 * MOST_SHOWN, "{told}");
    }
}
