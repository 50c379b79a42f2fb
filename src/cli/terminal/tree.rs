//! The spans of a trace as a tree.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::branches::{Branch, draw};
use super::{BAD, DIM, plain_line, styled};

/// A span as the tree shows it.
#[derive(Debug, Clone)]
pub(crate) struct TreeSpan {
    /// Its id.
    pub(crate) id: String,
    /// Its parent's id; empty for a root.
    pub(crate) parent: String,
    /// Its name.
    pub(crate) name: String,
    /// When it began, in nanoseconds of the epoch.
    pub(crate) start_nanos: u64,
    /// How long it took.
    pub(crate) duration: Duration,
    /// Tokens that were sent to a model and came back, where the span is about a call of one.
    pub(crate) tokens: Option<(u64, u64)>,
    /// What went wrong, if something did.
    pub(crate) error: Option<String>,
}

/// Spans by their parent; roots have none.
type Children<'a> = HashMap<Option<&'a str>, Vec<&'a TreeSpan>>;

/// The tree as lines. A span whose parent is not among `spans` is shown as a root.
pub(crate) fn tree(spans: &[TreeSpan]) -> String {
    let ids: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut children: Children<'_> = HashMap::new();
    for span in spans {
        let parent = Some(span.parent.as_str()).filter(|parent| ids.contains(parent));
        children.entry(parent).or_default().push(span);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| span.start_nanos);
    }
    let roots = children.get(&None).into_iter().flatten();
    roots.map(|root| draw(&branch(root, &children))).collect::<Vec<_>>().join("\n")
}

fn branch(span: &TreeSpan, children: &Children<'_>) -> Branch {
    let below = children.get(&Some(span.id.as_str())).into_iter().flatten();
    let below = below.map(|child| branch(child, children)).collect();
    Branch::new(plain_line(&span.name)).noted(note(span)).above(below)
}

fn note(span: &TreeSpan) -> String {
    let duration = styled(DIM, format_args!("{:>6} ms", span.duration.as_millis()));
    let tokens = span.tokens.map(|(input, output)| styled(DIM, format_args!("  {input} → {output} tokens")));
    let error = span.error.as_ref().map(|error| format!("  {}", styled(BAD, plain_line(error))));
    format!("{duration}{}{}", tokens.unwrap_or_default(), error.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, name: &str, start_nanos: u64) -> TreeSpan {
        let (id, parent, name) = (id.to_owned(), parent.to_owned(), name.to_owned());
        TreeSpan {
            id,
            parent,
            name,
            start_nanos,
            duration: Duration::from_millis(1),
            tokens: None,
            error: None,
        }
    }

    #[test]
    fn children_stand_below_their_parent_in_the_order_of_time() {
        let spans = [span("3", "1", "later", 30), span("1", "9", "root", 10), span("2", "1", "earlier", 20)];
        let names: Vec<String> = tree(&spans).lines().map(|line| line[..20].trim().to_owned()).collect();
        assert_eq!(names, ["root", "├─ earlier", "└─ later"]);
    }

    #[test]
    fn names_and_errors_of_spans_are_harmless() {
        let error = Some("\u{9b}2J\nfailed".to_owned());
        let shown = tree(&[TreeSpan { error, ..span("1", "", "evil\u{1b}[8m", 1) }]);
        assert!(shown.contains("evil␛[8m") && shown.contains("\\u{9b}2J failed"), "{shown:?}");
    }
}
