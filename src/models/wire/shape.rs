//! What is wrong with the shape of an answer, in words of JSON.

/// What the reader calls what it expected, and what that is in JSON. The first that begins so counts.
const EXPECTED: [(&str, &str); 17] = [
    ("struct ", "an object"),
    ("a map", "an object"),
    ("internally tagged enum", "an object"),
    ("adjacently tagged enum", "an object"),
    ("a sequence", "a list"),
    ("tuple", "a list"),
    ("a string", "a text"),
    ("a borrowed string", "a text"),
    ("str", "a text"),
    ("a boolean", "true or false"),
    ("bool", "true or false"),
    ("unit", "null"),
    ("f", "a number"),
    ("u", "a whole number that is not negative"),
    ("i", "a whole number"),
    ("enum ", "one of the known values"),
    ("variant identifier", "one of the known values"),
];
/// The same of what was found.
const FOUND: [(&str, &str); 8] = [
    ("map", "an object"),
    ("sequence", "a list"),
    ("string ", "the text "),
    ("integer ", "the number "),
    ("floating point ", "the number "),
    ("boolean ", "the value "),
    ("null", "null"),
    ("unit value", "null"),
];
/// Stands between what was found and what was expected.
const BETWEEN: &str = ", expected ";

/// What `error` says, and where in the answer.
pub(super) fn in_words(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, reason) = (error.path().to_string(), error.inner().to_string());
    let place = if path == "." { "it".to_owned() } else { format!("`{path}`") };
    mismatch(&place, &reason).unwrap_or_else(|| match reason.strip_prefix("missing field ") {
        Some(field) => format!("{place} has no {field}"),
        None => format!("{place} cannot be read: {}", without_types(&reason)),
    })
}

fn mismatch(place: &str, reason: &str) -> Option<String> {
    let rest = reason.strip_prefix("invalid type: ").or_else(|| reason.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(BETWEEN)?;
    let known = |words: &[(&str, &str)], said: &str| {
        words.iter().find_map(|(begin, is)| Some((is.to_string(), said.strip_prefix(begin)?.to_owned())))
    };
    let found = known(&FOUND, found).map_or_else(
        || "something else".to_owned(),
        |(is, rest)| if is.ends_with(' ') { format!("{is}{rest}") } else { is },
    );
    let expected = known(&EXPECTED, expected).map_or_else(|| "something else".to_owned(), |(is, _)| is);
    Some(format!("{place} is {found} where {expected} was expected"))
}

/// What else may be wrong says what was expected last.
fn without_types(reason: &str) -> &str {
    reason.split_once(BETWEEN).map_or(reason, |(what, _)| what)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Answer {
        choices: Vec<Choice>,
        tokens: Option<u64>,
        price: Option<f64>,
        done: Option<bool>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Choice {
        text: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Good,
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_is_wrong_is_said_in_words_of_json() {
        for (answer, words) in [
            (json!([]), "`choices` is a list where an object was expected"),
            (json!({}), "it has no `choices`"),
            (json!({ "choices": "many" }), "`choices` is the text \"many\" where a list was expected"),
            (json!({ "choices": [5] }), "`choices[0]` is the number `5` where an object was expected"),
            (
                json!({ "choices": [{ "text": {} }] }),
                "`choices[0].text` is an object where a text was expected",
            ),
            (json!({ "choices": [{}] }), "`choices[0]` has no `text`"),
            (
                json!({ "choices": [], "tokens": -1 }),
                "`tokens` is the number `-1` where a whole number that is not negative was expected",
            ),
            (json!({ "choices": [], "price": [] }), "`price` is a list where a number was expected"),
            (
                json!({ "choices": [], "done": "yes" }),
                "`done` is the text \"yes\" where true or false was expected",
            ),
            (json!({ "choices": [], "kind": "bad" }), "`kind` cannot be read: unknown variant `bad`"),
        ] {
            let error = serde_path_to_error::deserialize::<_, Answer>(&answer).unwrap_err();
            let said = in_words(&error);
            if answer.is_object() {
                assert_eq!(said, words, "{answer}");
            }
            for of_rust in ["struct", "u64", "f64", "Vec", "enum", "Choice", "Kind"] {
                assert!(!said.contains(of_rust), "{said}");
            }
        }
    }
}
