//! What the agent said, as an offline judge finds it.

use crate::events::MessageRole;
use crate::execution::types::Scene;

/// The most characters of a line that are quoted.
const MAX_QUOTED_CHARS: usize = 120;

/// One line of the agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its place in the transcript, from 0.
    pub(super) index: usize,
    words: &'a str,
}

impl<'a> Line<'a> {
    /// Its beginning, word for word.
    pub(super) fn excerpt(self) -> &'a str {
        match self.words.char_indices().nth(MAX_QUOTED_CHARS) {
            Some((end, _)) => &self.words[..end],
            None => self.words,
        }
    }

    /// Who said it, and what.
    pub(super) fn quoted(self) -> String {
        let excerpt = self.excerpt();
        let rest = if excerpt.len() < self.words.len() { "…" } else { "" };
        format!("The agent said “{excerpt}{rest}”.")
    }
}

/// The agent's first line in which `text` occurs, letter case aside.
pub(super) fn said<'a>(scene: &'a Scene, text: &str) -> Option<Line<'a>> {
    of_agent(scene).find(|line| contains(line.words, text))
}

/// The last thing that the agent said; a reply without words cannot be quoted.
pub(super) fn last(scene: &Scene) -> Option<Line<'_>> {
    of_agent(scene).rfind(|line| !line.words.trim().is_empty())
}

/// Whether `part` occurs in `text`, letter case aside.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn of_agent(scene: &Scene) -> impl DoubleEndedIterator<Item = Line<'_>> {
    let lines = scene.transcript.iter().enumerate();
    lines
        .filter(|(_, message)| message.role == MessageRole::Assistant)
        .map(|(index, message)| Line { index, words: &message.content })
}
