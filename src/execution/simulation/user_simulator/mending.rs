//! The line in a model's answer. What is wrapped around it and can be taken off without a guess is taken off: a block
//! of thoughts in front, a code fence, the JSON form with or without words around it, the customer's own label,
//! quotation marks around everything.

use serde_json::Value;

use super::guard::{Fault, Speaker, labelled};
use super::prompt::LINE_FIELD;

/// How often something is taken off: wrappings nest, but not deeper than there are kinds of them.
const MAX_WRAPPINGS: usize = 6;
/// Tags in which models think.
pub(super) const THOUGHT_TAGS: [&str; 4] = ["think", "thinking", "thought", "reasoning"];
/// Quotation marks that come in pairs.
pub(super) const QUOTES: [(char, char); 9] = [
    ('"', '"'),
    ('“', '”'),
    ('„', '“'),
    ('„', '”'),
    ('«', '»'),
    ('»', '«'),
    ('「', '」'),
    ('『', '』'),
    ('‘', '’'),
];

/// The line in `answer`; empty if there is none.
///
/// # Errors
/// The fault of an answer in which it cannot be told which words are the line.
pub(super) fn mend(answer: &str) -> Result<String, Fault> {
    let answer = without_thoughts(answer.trim())?;
    // Looked for once: what is JSON inside of the line is the customer's.
    let line = json_line(answer)?.unwrap_or_else(|| answer.to_owned());
    let mut line = line.trim();
    for _ in 0..MAX_WRAPPINGS {
        let mended = without_quotes(without_label(without_fence(without_thoughts(line)?))).trim();
        if mended.len() == line.len() {
            break;
        }
        line = mended;
    }
    Ok(line.to_owned())
}

/// Thoughts end with their closing tag, whether or not the opening one is there: some servers keep it to themselves.
fn without_thoughts(text: &str) -> Result<&str, Fault> {
    let lower = text.to_ascii_lowercase();
    for tag in THOUGHT_TAGS {
        let closing = format!("</{tag}>");
        if let Some(end) = lower.rfind(&closing) {
            return Ok(text[end + closing.len()..].trim());
        }
        if lower.starts_with(&format!("<{tag}>")) {
            return Err(Fault::LeakedReasoning);
        }
    }
    Ok(text)
}

/// The field of the JSON form, wherever it stands; nothing where the answer is not in that form at all.
fn json_line(text: &str) -> Result<Option<String>, Fault> {
    // Small models break lines inside of strings. Between values a space does as well.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match serde_json::from_str::<Value>(without_fence(&text)) {
        Ok(Value::String(line)) => return Ok(Some(line)),
        Ok(Value::Object(object)) if !text.contains(&format!("\"{LINE_FIELD}\"")) => {
            return Ok((!object.is_empty()).then(String::new));
        }
        _ => {}
    }
    let mut lines = lines_in(&text);
    lines.dedup();
    if lines.len() > 1 { Err(Fault::Continuation) } else { Ok(lines.pop()) }
}

/// The lines of all JSON objects in `text` that have one.
fn lines_in(text: &str) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('{') {
        let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<Value>();
        let line = values.next().and_then(Result::ok).and_then(|value| line_in(&value));
        let read = line.as_ref().map_or(1, |_| values.byte_offset());
        lines.extend(line);
        rest = &rest[start + read..];
    }
    lines
}

fn line_in(value: &Value) -> Option<String> {
    let field = value.as_object()?.get(LINE_FIELD)?;
    match field {
        Value::Object(_) => None,
        field => Some(field.as_str().unwrap_or_default().to_owned()),
    }
}

fn without_fence(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let Some(inner) = inner.filter(|inner| !inner.contains("```")) else { return text };
    if let Some(inner) = inner.strip_prefix("json") {
        return inner.trim();
    }
    match inner.split_once('\n') {
        Some((language, rest)) if language.chars().all(char::is_alphanumeric) => rest.trim(),
        _ => inner.trim(),
    }
}

fn without_label(text: &str) -> &str {
    let label = labelled(text.lines().next().unwrap_or_default());
    if !matches!(label, Some((Speaker::Customer, _))) {
        return text;
    }
    text.split_once([':', '：']).map_or(text, |(_, words)| words.trim_start_matches(['*', '_', ']']).trim())
}

/// Without the marks around all of it; a line that only begins and ends with a quotation keeps them.
fn without_quotes(text: &str) -> &str {
    let unquoted = QUOTES.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        (!inner.contains([*open, *close])).then_some(inner)
    });
    unquoted.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(answer: &str) -> String {
        mend(answer).unwrap()
    }

    #[test]
    fn the_line_is_found_in_whatever_form_the_model_chose() {
        assert_eq!(mended(r#"{"message": " my mug broke "}"#), "my mug broke");
        assert_eq!(mended("```json\n{\"message\": \"hi\"}\n```"), "hi");
        assert_eq!(mended("```text\nhi\n```"), "hi");
        assert_eq!(mended("  my mug broke\n"), "my mug broke");
        assert_eq!(mended(r#""hi""#), "hi");
        assert_eq!(mended("{\"message\": \"one\ntwo\"}"), "one two", "a line break inside of a string");
        assert_eq!(mended(r#"Here you are: {"message": "hi {you}"} Enjoy."#), "hi {you}");
        assert_eq!(mended(r#"{"answer": {"message": "hi"}}"#), "hi");
    }

    #[test]
    fn an_answer_without_a_line_is_empty() {
        for empty in ["", "  ", r#"{"message": ""}"#, r#"{"thought": "hm"}"#, r#"{"message": 5}"#] {
            assert_eq!(mended(empty), "", "{empty:?}");
        }
    }

    #[test]
    fn thoughts_in_front_are_taken_off() {
        assert_eq!(mended("<think>Hm. {\"message\": \"no\"}</think>\n{\"message\": \"yes\"}"), "yes");
        assert_eq!(mended("The agent wants a number.\n</think>\n\n4711"), "4711");
        assert_eq!(mend("<think>I wonder"), Err(Fault::LeakedReasoning));
    }

    #[test]
    fn the_customers_own_label_and_quotes_around_everything_are_taken_off() {
        for labelled in
            ["Customer: hi", "**Customer:** \"hi\"", "[3] customer: \"hi\"", "Kunde: „hi“", "客户：「hi」"]
        {
            assert_eq!(mended(labelled), "hi", "{labelled}");
        }
        assert_eq!(mended("Kundin: Frau Kunde: hi"), "Frau Kunde: hi");
        assert_eq!(mended("Customer: C\nand D"), "C\nand D");
        assert_eq!(mended(r#""Yes" and "no""#), r#""Yes" and "no""#);
        assert_eq!(mended("It's 'fine'"), "It's 'fine'");
    }

    #[test]
    fn two_different_lines_are_no_line() {
        assert_eq!(mend(r#"{"message": "a"} {"message": "b"}"#), Err(Fault::Continuation));
        assert_eq!(mended(r#"{"message": "a"} {"message": "a"}"#), "a");
    }
}
