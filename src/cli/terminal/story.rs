//! Conversations of many runs at once, line by line, each run with a name and a colour of its own.

use std::collections::HashMap;

use anstyle::{AnsiColor, Style};
use textwrap::Options;
use textwrap::core::display_width;

use super::cells::mark;
use super::outcomes::{coloured, seconds, status};
use super::{BAD, DIM, GOOD, WARN, plain, plain_line, styled, width};
use crate::events::{
    CriterionStatus, MessageRole, RunCompleted, RunIds, RunKey, RunMessage, RunStarted, RunStatus,
};
use crate::queue::feed::Event;

const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::BrightBlack,
];
/// Columns for a run's name.
const NAME_WIDTH: usize = 22;
/// Columns for the speaker.
const SPEAKER_WIDTH: usize = 9;
/// Columns between name, speaker and words.
const GAPS: usize = 3;
/// The least columns for words.
const LEAST_WORDS: usize = 16;
/// Columns before what a run missed.
const MISS_INDENT: &str = "        ";

/// The last characters of a run's id that tell it from others of its scenario.
const TAG_CHARS: usize = 6;

/// How a run is called.
#[derive(Debug, Clone)]
struct Name {
    text: String,
    colour: Style,
}

/// Tells what happens in runs.
#[derive(Debug, Default)]
pub(crate) struct Story {
    names: HashMap<RunKey, Name>,
    named: usize,
    /// Whether runs of one scenario are told from each other.
    is_tagged: bool,
}

impl Story {
    /// Tells of runs of which several may be of one scenario.
    pub(crate) fn of_many() -> Self {
        Self { is_tagged: true, ..Self::default() }
    }

    /// The event as lines to print.
    pub(crate) fn tell(&mut self, event: &Event) -> String {
        match event {
            Event::Started(started) => self.begins(started),
            Event::Message(message) => self.says(message),
            Event::Completed(completed) => self.ends(completed),
        }
    }

    fn begins(&mut self, started: &RunStarted) -> String {
        let name = self.call(&started.ids, &started.scenario.name);
        let target = format!("{}:{}", started.target.kind, started.target.reference_id);
        let again =
            if started.attempt > 1 { format!(" (attempt {})", started.attempt) } else { String::new() };
        line(&name, "▶", DIM, &format!("begins, against {target}{again}"))
    }

    fn says(&mut self, message: &RunMessage) -> String {
        let (speaker, style) = match message.role {
            MessageRole::User => ("customer", Style::new()),
            MessageRole::Assistant => ("agent", Style::new().bold()),
            MessageRole::Tool => ("tool", DIM),
        };
        line(&self.name(&message.ids), speaker, style, &words(message))
    }

    fn ends(&mut self, completed: &RunCompleted) -> String {
        let name = self.name(&completed.ids);
        self.names.remove(&completed.ids.key());
        let (mark, style) = mark_of(completed.status);
        let status = format!("{:?}", completed.status).to_uppercase();
        let mut text = format!("{status} {}: {}", facts(completed), completed.reasoning);
        for miss in misses(completed) {
            text = format!("{text}\n{miss}");
        }
        line(&name, mark, style, &text)
    }

    /// The name of a run whose beginning may not have been heard.
    fn name(&mut self, ids: &RunIds) -> Name {
        match self.names.get(&ids.key()) {
            Some(name) => name.clone(),
            None => self.call(ids, ids.scenario_id.as_str()),
        }
    }

    fn call(&mut self, ids: &RunIds, scenario: &str) -> Name {
        let colour = COLOURS[self.named % COLOURS.len()].on_default();
        let room = if self.is_tagged { NAME_WIDTH - TAG_CHARS - 1 } else { NAME_WIDTH };
        let mut text: String = plain_line(scenario).chars().take(room).collect();
        if self.is_tagged {
            let id = ids.scenario_run_id.as_str();
            text = format!("{text} {}", &id[id.len().saturating_sub(TAG_CHARS)..]);
        }
        let name = Name { text, colour };
        if self.names.insert(ids.key(), name.clone()).is_none() {
            self.named += 1;
        }
        name
    }
}

/// What was said, and the tools that were called.
fn words(message: &RunMessage) -> String {
    let tools = message.tool_calls.iter().map(|call| format!("→ {}({})", call.name, call.arguments));
    let said = Some(message.content.clone()).filter(|content| !content.is_empty());
    said.into_iter().chain(tools).collect::<Vec<_>>().join("\n")
}

fn mark_of(status: RunStatus) -> (&'static str, Style) {
    match status {
        RunStatus::Success => ("✔", GOOD),
        RunStatus::Failed => ("✘", BAD),
        RunStatus::Error => ("!", BAD),
        RunStatus::Cancelled => ("■", WARN),
    }
}

/// What a run took.
fn facts(outcome: &RunCompleted) -> String {
    let turns = if outcome.turns == 1 { "1 turn".to_owned() } else { format!("{} turns", outcome.turns) };
    let cost = outcome.usage_total.cost;
    let cost = if cost.is_zero() { String::new() } else { format!(", {cost}") };
    format!("in {}, {turns}{cost}", seconds(outcome.duration_ms))
}

/// Each criterion that is not met, with the reason.
fn misses(outcome: &RunCompleted) -> impl Iterator<Item = String> {
    let open = outcome.criteria.iter().filter(|criterion| criterion.status != CriterionStatus::Met);
    open.map(|criterion| format!("{} {}: {}", mark(criterion.status), criterion.text, criterion.reasoning))
}

/// An outcome as a few lines: how it ended, what `name` stands for, what it took, and what was missed.
pub(crate) fn outcome_line(name: &str, outcome: &RunCompleted) -> String {
    let head = plain_line(&format!("{name} {}", facts(outcome)));
    let why = outcome.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    let below =
        why.into_iter().chain(misses(outcome)).map(|miss| format!("\n{MISS_INDENT}{}", plain_line(&miss)));
    coloured(&format!("{} {head}{}", status(outcome.status), below.collect::<String>()))
}

fn line(name: &Name, speaker: &str, style: Style, text: &str) -> String {
    let indent = " ".repeat(NAME_WIDTH + SPEAKER_WIDTH + GAPS);
    let text = plain(text);
    let room = width().saturating_sub(indent.len()).max(LEAST_WORDS);
    let wrapped = textwrap::wrap(&text, Options::new(room).break_words(true));
    let lines: Vec<String> = wrapped.iter().map(|line| styled(style, line)).collect();
    let gap = " ".repeat(NAME_WIDTH.saturating_sub(display_width(&name.text)));
    let name = styled(name.colour, &name.text);
    let speaker = styled(style, format_args!("{speaker:>SPEAKER_WIDTH$}"));
    format!("{name}{gap} {speaker}  {}", lines.join(&format!("\n{indent}")))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{message, outcome};
    use super::*;

    fn bare(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn an_agent_controls_nobodys_terminal() {
        let told = Story::default().tell(&message("r", "\u{1b}]0;owned\u{7}\u{9b}2J\nsecond\u{202e}\rline"));
        let told = anstream::adapter::strip_str(&told).to_string();
        assert!(!told.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{told:?}");
        assert!(told.contains("␛]0;owned␇") && told.contains('\n') && told.contains("second"), "{told:?}");
    }

    #[test]
    fn an_outcome_says_what_it_took_and_what_was_missed_and_why() {
        let told = bare(&Story::default().tell(&Event::Completed(Box::new(outcome("r1", "FAILED")))));
        assert!(told.contains("✘  FAILED in 1.5 s, 1 turn, 0.010000 USD: So it was."), "{told}");
        assert!(
            told.contains("✘ It refunds: Nobody speaks of money.") && !told.contains("It greets"),
            "{told}"
        );
        let line = bare(&outcome_line("region=eu", &outcome("r1", "ERROR")));
        assert!(line.starts_with("! ERROR region=eu in 1.5 s, 1 turn"), "{line}");
        assert!(line.contains("http_status: HTTP 500"), "{line}");
    }

    #[test]
    fn runs_of_one_scenario_have_names_and_colours_of_their_own() {
        let mut story = Story::of_many();
        let (one, other) = (story.tell(&message("run-aaaaaa", "x")), story.tell(&message("run-bbbbbb", "x")));
        assert!(bare(&one).starts_with("s aaaaaa ") && bare(&other).starts_with("s bbbbbb "), "{one}{other}");
        let colour = |told: &str| told.split('s').next().unwrap().to_owned();
        assert_ne!(colour(&one), colour(&other));
        assert_eq!(one, story.tell(&message("run-aaaaaa", "x")), "a run keeps its name");
    }
}
