//! `${NAME}` in texts becomes the value of an environment variable, `${NAME:-words}` the words where that has none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::{Content, Node};
use super::problem::Place;
use crate::events::MAX_ID_CHARS;

/// A value of fewer characters is not hidden: it guards nothing, and it occurs in every sentence.
const SHORTEST_HIDDEN: usize = 4;

/// Where something is wrong, and what.
type Finding = (String, Place, String);

/// The variables that a document refers to.
pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    used: BTreeMap<String, String>,
    findings: Vec<Finding>,
}

/// Values of variables, which are credentials more often than not, and the names to show instead.
#[derive(Clone, Default)]
pub(super) struct Hidden(Vec<(String, String)>);

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, used: BTreeMap::new(), findings: Vec::new() }
    }

    /// Replaces variables in every text below `root`, and tells which cannot be.
    pub(super) fn expand(&mut self, root: &mut Node) -> Vec<Finding> {
        self.node(root, "");
        std::mem::take(&mut self.findings)
    }

    fn node(&mut self, node: &mut Node, path: &str) {
        match &mut node.content {
            Content::Scalar(Value::String(text)) => match self.text(text) {
                Ok(expanded) => *text = expanded,
                Err(reason) => self.findings.push((path.to_owned(), node.place, reason)),
            },
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &format!("{path}[{index}]"));
                }
            }
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    self.node(value, &super::field::join(path, &key.name));
                }
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<String, String> {
        let (mut expanded, mut rest) = (String::new(), text);
        while let Some(start) = rest.find("${") {
            let (before, from) = rest.split_at(start);
            if let Some(before) = before.strip_suffix('$') {
                expanded.extend([before, "${"]);
                rest = &from["${".len()..];
                continue;
            }
            let (reference, after) = reference(&from["${".len()..])?;
            expanded.extend([before, self.value(&reference)?.as_str()]);
            rest = after;
        }
        Ok(expanded + rest)
    }

    fn value(&mut self, reference: &Reference<'_>) -> Result<String, String> {
        let Reference { name, otherwise } = *reference;
        // As in a shell, `:-` is for a variable that is empty, too.
        match ((self.lookup)(name), otherwise) {
            (Some(value), Some(otherwise)) if value.is_empty() => Ok(otherwise.to_owned()),
            (Some(value), _) => {
                self.used.insert(name.to_owned(), value.clone());
                Ok(value)
            }
            (None, Some(otherwise)) => Ok(otherwise.to_owned()),
            (None, None) => Err(format!(
                "the environment variable {name} is not set; write ${{{name}:-…}} for a value without it, or $${{{name}}} \
                 if the text itself is meant"
            )),
        }
    }

    pub(super) fn into_hidden(self) -> Hidden {
        let worth_hiding = |(_, value): &(String, String)| value.chars().count() >= SHORTEST_HIDDEN;
        let mut values: Vec<_> = self.used.into_iter().filter(worth_hiding).collect();
        // A value that contains another goes first, or its rest would stay.
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Hidden(values)
    }
}

/// What stands between the braces.
#[derive(Clone, Copy)]
struct Reference<'a> {
    name: &'a str,
    /// What stands for a variable without a value.
    otherwise: Option<&'a str>,
}

/// The reference at the start of `text`, up to its brace, and what comes after.
fn reference(text: &str) -> Result<(Reference<'_>, &str), String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let read = text.split_once('}').map(|(inside, after)| match inside.split_once(":-") {
        Some((name, otherwise)) => (Reference { name, otherwise: Some(otherwise) }, after),
        None => (Reference { name: inside, otherwise: None }, after),
    });
    read.filter(|(reference, _)| is_name(reference.name)).ok_or_else(|| {
        "`${` must be followed by the name of an environment variable and `}`; write `$${` if the text itself is meant"
            .to_owned()
    })
}

impl Hidden {
    /// Puts the variable for its value wherever that occurs, as it is or in the forms that messages give it.
    pub(super) fn remove_from(&self, message: &str) -> String {
        self.0.iter().fold(message.to_owned(), |text, (name, value)| {
            let shortened: String = value.chars().take(MAX_ID_CHARS).flat_map(char::escape_default).collect();
            let forms = [
                value.clone(),
                value.escape_debug().to_string(),
                value.escape_default().to_string(),
                shortened,
            ];
            forms.iter().fold(text, |text, form| text.replace(form, &format!("${{{name}}}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "KEY" => Some("top-secret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Variables::new(&lookup).text(text)
    }

    #[test]
    fn a_variable_is_replaced_wherever_it_stands() {
        assert_eq!(expand("${KEY}").unwrap(), "top-secret");
        assert_eq!(expand("a ${KEY} b ${KEY}").unwrap(), "a top-secret b top-secret");
        assert_eq!(expand("no $KEY, no {KEY}, $ {KEY} $$").unwrap(), "no $KEY, no {KEY}, $ {KEY} $$");
    }

    #[test]
    fn a_doubled_dollar_keeps_the_text() {
        assert_eq!(expand("$${KEY}").unwrap(), "${KEY}");
        assert_eq!(expand("$${NOT_SET} ${KEY}").unwrap(), "${NOT_SET} top-secret");
    }

    #[test]
    fn words_stand_for_a_variable_that_has_no_value() {
        assert_eq!(expand("${KEY:-other}").unwrap(), "top-secret");
        assert_eq!(expand("<${NOT_SET:-http://a:1/b}>").unwrap(), "<http://a:1/b>");
        assert_eq!(expand("<${EMPTY:-some}${EMPTY}${NOT_SET:-}>").unwrap(), "<some>");
        assert!(expand("${a-b:-c}").unwrap_err().contains("name of an environment variable"));
    }

    #[test]
    fn a_variable_that_is_not_set_or_has_no_name_is_refused() {
        assert!(expand("${NOT_SET}").unwrap_err().contains("NOT_SET is not set"));
        for bad in ["${}", "${a-b}", "${1}", "${KEY"] {
            assert!(expand(bad).unwrap_err().contains("name of an environment variable"), "{bad}");
        }
    }

    #[test]
    fn values_are_hidden_in_every_form_that_a_message_gives_them() {
        let long = "kénn\"wort".repeat(30);
        let lookup = |_: &str| Some(long.clone());
        let mut variables = Variables::new(&lookup);
        variables.text("${KEY}").unwrap();
        let hidden = variables.into_hidden();
        let id = crate::events::ProjectId::parse(long.clone()).unwrap_err();
        for message in [format!("is {long}"), format!("is {long:?}"), id.to_string()] {
            let shown = hidden.remove_from(&message);
            assert!(shown.contains("${KEY}") && !shown.contains("wort"), "{shown}");
        }
    }
}
