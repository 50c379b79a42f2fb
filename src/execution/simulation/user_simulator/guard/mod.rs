//! Whether a line is one that a customer says. Nothing is asked of a model and nothing is changed here: the line and
//! what was said before it decide.

mod continuation;
mod echo;
mod labels;
mod pattern;
mod phrases;
mod stage;
mod words;

use std::fmt;

use super::mending::THOUGHT_TAGS;
use crate::events::MessageRole;
use crate::execution::types::Message;
pub(super) use labels::{Speaker, labelled};

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(serde::Deserialize), serde(rename_all = "snake_case"))]
pub(super) enum Fault {
    /// Nothing is said.
    Empty,
    /// Tags, tokens of a chat template, or JSON that is broken off.
    Format,
    /// The line is the agent's: it offers help, asks for what an agent asks for, or reports what only an agent does.
    RoleInversion,
    /// The line is the model's own: what it is, what it refuses, what it has written.
    AssistantPhrase,
    /// The line has thoughts about what the customer is to say.
    LeakedReasoning,
    /// The line is what the agent said last.
    EchoOfAgent,
    /// The line is what the customer said last.
    EchoOfSelf,
    /// The line describes what the customer does.
    StageDirection,
    /// The line names its speaker, at a place where that cannot be taken off.
    SpeakerLabel,
    /// The line goes on with the agent's part.
    Continuation,
}

impl fmt::Display for Fault {
    /// What is wrong, said of the line: as a failure says it, and as the model is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "without words",
            Self::Format => "with markup or broken JSON in it",
            Self::RoleInversion => "that speaks as the agent",
            Self::AssistantPhrase => "that speaks as a language model",
            Self::LeakedReasoning => "that thinks aloud about what the customer should say",
            Self::EchoOfAgent => "that repeats what the agent said",
            Self::EchoOfSelf => "that repeats what the customer said last",
            Self::StageDirection => "that describes what the customer does",
            Self::SpeakerLabel => "that names its speaker",
            Self::Continuation => "that plays the agent, too, and goes on with the conversation",
        })
    }
}

/// What was said before the line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard<'a> {
    /// The agent's last words, if there were any.
    pub(super) agent: Option<&'a str>,
    /// The customer's own last line, if there was one.
    pub(super) own: Option<&'a str>,
}

impl<'a> Heard<'a> {
    /// The last words of both.
    pub(super) fn of(said: &'a [Message]) -> Self {
        let last = |role| {
            let message = said.iter().rev().find(|message| message.role == role);
            message.map(|message| message.content.as_str())
        };
        Self { agent: last(MessageRole::Assistant), own: last(MessageRole::User) }
    }
}

/// The fault of `line`, if it has one.
pub(super) fn inspect(line: &str, heard: &Heard<'_>) -> Option<Fault> {
    if is_silent(line) {
        return Some(Fault::Empty);
    }
    markup(line)
        .or_else(|| continuation::fault(line))
        .or_else(|| stage::has_direction(line).then_some(Fault::StageDirection))
        .or_else(|| echo::fault(line, heard))
        .or_else(|| phrases::fault(line))
}

/// A line of dots or dashes says nothing; question marks and emoji do.
fn is_silent(line: &str) -> bool {
    let says = |c: char| !c.is_whitespace() && !c.is_control() && !"._-–—…。'\"{}[]()*#`,".contains(c);
    !line.chars().any(says)
}

/// Tokens of chat templates, and what only the instructions have.
const MARKS: [&str; 11] = [
    "<|",
    "|>",
    "[inst]",
    "[/inst]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<transcript>",
    "</transcript>",
    "<situation>",
    "</situation>",
    "<tool_call>",
];
/// The beginnings of the JSON form without its end.
const BROKEN_FORMS: [&str; 2] = ["{\"message\"", "{ \"message\""];
/// What stands in front of thoughts.
const THOUGHT_LABELS: [&str; 8] = [
    "thought:",
    "thoughts:",
    "thinking:",
    "reasoning:",
    "analysis:",
    "internal monologue:",
    "gedanke:",
    "思考：",
];

fn markup(line: &str) -> Option<Fault> {
    let lower = line.to_lowercase();
    let is_left_over = |tag: &&str| lower.contains(&format!("<{tag}")) || lower.contains(&format!("</{tag}"));
    if THOUGHT_TAGS.iter().any(is_left_over) || THOUGHT_LABELS.iter().any(|label| lower.starts_with(label)) {
        return Some(Fault::LeakedReasoning);
    }
    let is_broken = BROKEN_FORMS.iter().any(|form| lower.starts_with(form) || lower.ends_with(form));
    let has_marks = MARKS.iter().any(|mark| lower.contains(mark));
    (is_broken || has_marks).then_some(Fault::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_alone_is_silence_and_a_question_mark_is_not() {
        for silent in ["", " ", "...", "—", "\"\"", "…"] {
            assert_eq!(inspect(silent, &Heard::default()), Some(Fault::Empty), "{silent:?}");
        }
        for said in ["?", "👍", "ok", "好", "5"] {
            assert_eq!(inspect(said, &Heard::default()), None, "{said:?}");
        }
    }

    #[test]
    fn a_tag_of_thoughts_that_is_left_over_makes_a_line_no_customers() {
        for tag in THOUGHT_TAGS {
            for line in [format!("ok <{tag}> hm"), format!("hm </{tag}> ok")] {
                assert_eq!(inspect(&line, &Heard::default()), Some(Fault::LeakedReasoning), "{line}");
            }
        }
    }

    #[test]
    fn what_belongs_to_a_template_is_no_line() {
        for line in ["ok<|im_end|>", "</transcript> ok", "{\"message\": \"ok"] {
            assert_eq!(inspect(line, &Heard::default()), Some(Fault::Format), "{line:?}");
        }
        assert_eq!(inspect("your API answers {\"status\": 500}", &Heard::default()), None);
    }
}
