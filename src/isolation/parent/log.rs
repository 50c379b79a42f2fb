//! What processes say for the worker's log: bounded, without credentials, with the run that it is about.

use crate::events::RunKey;
use crate::execution::types::Session;
use crate::isolation::Snapshot;
use crate::isolation::frames::LogLevel;
use crate::isolation::snapshot::credentials_of;
use crate::scrub::{Scrubber, parts_of_url};
use crate::text::cut;

/// The most lines of one process.
const MOST_LINES: u32 = 100;
/// The most bytes of one line.
const MOST_LINE: usize = 2 * 1024;

/// The log of one run's process.
pub(super) struct Log {
    run: RunKey,
    scrubber: Scrubber,
    lines: u32,
}

impl Log {
    pub(super) fn new(run: RunKey, definitions: &Snapshot, secrets: &[String]) -> Self {
        let mut known = definitions.credentials();
        known.extend_from_slice(secrets);
        let pieces: Vec<String> = known.iter().flat_map(|text| parts_of_url(text)).collect();
        let scrubber = Scrubber::new(known.iter().chain(&pieces).map(String::as_str));
        Self { run, scrubber, lines: 0 }
    }

    /// Says `text` in the worker's log; the run's target has this `session`.
    pub(super) fn say(&mut self, level: LogLevel, text: &str, session: Option<&Session>) {
        self.lines += 1;
        if self.lines > MOST_LINES {
            if self.lines == MOST_LINES + 1 {
                tracing::warn!(run = %self.run, "the process of a run says too much; the rest is left out");
            }
            return;
        }
        let text = self.shown(text, session);
        match level {
            LogLevel::Error => tracing::error!(run = %self.run, "in its process: {text}"),
            LogLevel::Warn => tracing::warn!(run = %self.run, "in its process: {text}"),
        }
    }

    /// What a process that is gone wrote to its standard error.
    pub(super) fn output(&self, output: &str, session: Option<&Session>) {
        if !output.is_empty() {
            tracing::debug!(run = %self.run, output = %self.shown(output, session), "a run's process wrote");
        }
    }

    /// What is cut off might leave half a credential that nobody recognises, so it is cut last. It stays one line.
    fn shown(&self, text: &str, session: Option<&Session>) -> String {
        let of_session = session.map(|session| credentials_of(session.expose())).unwrap_or_default();
        let scrubber = self.scrubber.with(of_session.iter().map(String::as_str));
        let text = cut(&scrubber.scrub(text), MOST_LINE);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::{ProjectId, RunId};

    #[test]
    fn a_line_is_one_line_and_holds_no_credential() {
        let definitions: Snapshot = serde_json::from_value(json!({
            "project": null, "scenario": null, "providers": [], "prompt": null, "secrets": { "A": "pass\"word" },
            "agent": { "id": "shop", "type": "http", "auth": { "token": "hunter2" } },
        }))
        .unwrap();
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("run").unwrap() };
        let log = Log::new(run, &definitions, &["parameter".to_owned()]);
        let session = Session::new(json!({ "cookies": [{ "value": "cookie-1234567" }] }));
        let text = "hunter2 failed:\n{\"is\": \"pass\\\"word\"}, parameter, cookie-1234567, aHVudGVyMg==";
        let shown = log.shown(text, Some(&session));
        let expected = "[redacted] failed: {\"is\": \"[redacted]\"}, [redacted], [redacted], [redacted]";
        assert_eq!(shown, expected);
        assert!(log.shown(&"x".repeat(10 * MOST_LINE), None).len() < 2 * MOST_LINE);
    }
}
