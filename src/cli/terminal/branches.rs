//! Trees as lines: what belongs to something stands below it.

use textwrap::core::display_width;

use super::width;

/// Columns for what is said of a branch behind its text.
const NOTE_WIDTH: usize = 36;
/// The least that is left of a text.
const LEAST_TEXT: usize = 24;
/// Ends a text that was cut.
const CUT: char = '…';

/// A branch of a tree. Its texts are one line each, and harmless.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// What it is.
    pub(super) text: String,
    /// What is said of it in a column of its own; may have colours.
    pub(super) note: String,
    /// What belongs to it.
    pub(super) below: Vec<Branch>,
}

impl Branch {
    /// A branch of which nothing more is said.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same with a note.
    pub(super) fn noted(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The same with what belongs to it.
    pub(super) fn above(self, below: Vec<Branch>) -> Self {
        Self { below, ..self }
    }
}

/// The tree below `root` as lines.
pub(super) fn draw(root: &Branch) -> String {
    let mut lines = vec![line("", root)];
    below(root, "", &mut lines);
    lines.join("\n")
}

fn below(parent: &Branch, indent: &str, lines: &mut Vec<String>) {
    for (position, child) in parent.below.iter().enumerate() {
        let is_last = position + 1 == parent.below.len();
        let (branch, stem) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(line(&format!("{indent}{branch}"), child));
        below(child, &format!("{indent}{stem}"), lines);
    }
}

fn line(indent: &str, branch: &Branch) -> String {
    let column = width().saturating_sub(NOTE_WIDTH).max(LEAST_TEXT);
    if branch.note.is_empty() {
        return cut(&format!("{indent}{}", branch.text), width());
    }
    let text = cut(&format!("{indent}{}", branch.text), column);
    let gap = " ".repeat(column.saturating_sub(display_width(&text)));
    format!("{text}{gap} {}", branch.note)
}

fn cut(text: &str, most: usize) -> String {
    if display_width(text) <= most {
        return text.to_owned();
    }
    let mut columns = 0;
    let fits = text.chars().take_while(|c| {
        columns += display_width(c.encode_utf8(&mut [0; 4]));
        columns < most
    });
    fits.chain([CUT]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_stand_below_what_they_belong_to() {
        let leaf = |text: &str| Branch::new(text).noted("1 ms");
        let tree = Branch::new("root").above(vec![Branch::new("a").above(vec![leaf("b")]), leaf("c")]);
        let lines = draw(&tree);
        let texts: Vec<&str> =
            lines.lines().map(|line| line.split("1 ms").next().unwrap().trim_end()).collect();
        assert_eq!(texts, ["root", "├─ a", "│  └─ b", "└─ c"]);
        let columns: Vec<Option<usize>> =
            lines.lines().skip(2).map(|line| line.chars().rev().position(|c| c == '1')).collect();
        assert_eq!(columns[0], columns[1], "notes stand below each other");
    }

    #[test]
    fn a_long_text_leaves_room_for_its_note() {
        let shown = draw(&Branch::new("x".repeat(300)).noted("1 ms"));
        assert!(shown.ends_with("… 1 ms") && display_width(&shown) <= width(), "{shown}");
    }
}
