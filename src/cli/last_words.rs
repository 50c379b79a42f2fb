//! The last words of a worker: whoever reads its log as JSON reads these so, too.

use super::arguments::{Arguments, Command, Layers};
use super::error::CliError;
use super::terminal;
use crate::settings::{self, LogFormat};
use crate::telemetry::worker;

/// The command that has a log.
const SERVE: &str = "serve";

/// Knows how the log of a worker looks, if the command is one.
pub(super) struct LastWords(Option<Layers>);

impl LastWords {
    /// Of the command of `arguments`.
    pub(super) fn of(arguments: &Arguments) -> Self {
        Self(matches!(arguments.command, Command::Serve(_)).then(|| arguments.layers.clone()))
    }

    /// Says why the worker ends, unless that is for people.
    pub(super) fn say(&self, error: &CliError) -> bool {
        let is_json = self.0.as_ref().is_some_and(|layers| layers.log_format() == LogFormat::Json);
        if is_json {
            let (why, hint) = match error {
                CliError::Hinted { error, hint } => (error.as_ref(), Some(hint.as_str())),
                error => (error, None),
            };
            terminal::say(worker::json_error(&why.to_string(), hint));
        }
        is_json
    }
}

/// Says what is wrong with the arguments of a worker, unless that is for people. Only the variable is known then.
pub(super) fn misused(misuse: &clap::Error) -> bool {
    let serves = std::env::args_os().any(|argument| argument == SERVE);
    let is_json = misuse.use_stderr() && serves && settings::log_format(std::env::vars()) == LogFormat::Json;
    if is_json {
        terminal::say(worker::json_error(misuse.to_string().trim_end(), None));
    }
    is_json
}
