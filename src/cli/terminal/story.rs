//! Conversations of many runs at once, line by line, each run with a name and a colour of its own.

use std::collections::HashMap;

use anstyle::{AnsiColor, Style};
use textwrap::Options;

use super::{BAD, DIM, GOOD, WARN, WIDTH, plain, plain_line, styled};
use crate::events::{MessageRole, RunCompleted, RunId, RunMessage, RunStarted, RunStatus};
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

/// Tells what happens in runs.
#[derive(Debug, Default)]
pub(crate) struct Story {
    names: HashMap<RunId, (String, Style)>,
}

impl Story {
    /// The event as lines to print.
    pub(crate) fn tell(&mut self, event: &Event) -> String {
        match event {
            Event::Started(started) => self.begins(started),
            Event::Message(message) => self.says(message),
            Event::Completed(completed) => self.ends(completed),
        }
    }

    fn begins(&mut self, started: &RunStarted) -> String {
        let colour = COLOURS[self.names.len() % COLOURS.len()].on_default();
        self.names.insert(started.ids.scenario_run_id.clone(), (plain_line(&started.scenario.name), colour));
        let target = format!("{}:{}", started.target.kind, started.target.reference_id);
        self.line(&started.ids.scenario_run_id, "▶", DIM, &format!("begins, against {target}"))
    }

    fn says(&self, message: &RunMessage) -> String {
        let (speaker, style) = match message.role {
            MessageRole::User => ("customer", Style::new()),
            MessageRole::Assistant => ("agent", Style::new().bold()),
            MessageRole::Tool => ("tool", DIM),
        };
        self.line(&message.ids.scenario_run_id, speaker, style, &message.content)
    }

    fn ends(&self, completed: &RunCompleted) -> String {
        let (mark, style) = match completed.status {
            RunStatus::Success => ("✔", GOOD),
            RunStatus::Failed => ("✘", BAD),
            RunStatus::Error => ("!", BAD),
            RunStatus::Cancelled => ("■", WARN),
        };
        let status = format!("{:?}", completed.status).to_uppercase();
        self.line(&completed.ids.scenario_run_id, mark, style, &format!("{status}: {}", completed.reasoning))
    }

    fn line(&self, run: &RunId, speaker: &str, style: Style, text: &str) -> String {
        let (name, colour) = self.names.get(run).cloned().unwrap_or_else(|| (run.to_string(), DIM));
        let name: String = name.chars().take(NAME_WIDTH).collect();
        let indent = " ".repeat(NAME_WIDTH + SPEAKER_WIDTH + GAPS);
        let text = plain(text);
        let wrapped = textwrap::wrap(&text, Options::new(WIDTH - indent.len()).break_words(true));
        let lines: Vec<String> = wrapped.iter().map(|line| styled(style, line)).collect();
        let name = styled(colour, format_args!("{name:<NAME_WIDTH$}"));
        let speaker = styled(style, format_args!("{speaker:>SPEAKER_WIDTH$}"));
        format!("{name} {speaker}  {}", lines.join(&format!("\n{indent}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(content: &str) -> Event {
        let message = json!({
            "schemaVersion": 1, "eventId": "e", "projectId": "p", "scenarioId": "s", "scenarioRunId": "r",
            "batchRunId": "b", "setId": "d", "index": 1, "turn": 1, "traceId": "t", "role": "assistant", "content": content,
            "at": "2026-01-01T00:00:00Z",
        });
        Event::Message(Box::new(serde_json::from_value(message).unwrap()))
    }

    #[test]
    fn an_agent_controls_nobodys_terminal() {
        let told = Story::default().tell(&message("\u{1b}]0;owned\u{7}\u{9b}2J\nsecond\u{202e}\rline"));
        let told = anstream::adapter::strip_str(&told).to_string();
        assert!(!told.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{told:?}");
        assert!(told.contains("␛]0;owned␇") && told.contains('\n') && told.contains("second"), "{told:?}");
    }
}
