//! One file per command; everything is wired in `wiring`.

mod arguments;
mod cancel;
mod config;
mod database;
mod dead_letters;
mod demo;
mod error;
mod execute_run;
mod health;
mod import;
mod keys;
mod listening;
mod receiving;
mod redaction;
mod rejudge;
mod schedule;
mod schemas;
mod serve;
mod signals;
mod terminal;
mod watch;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command, Layers};
use error::{CliError, Finished};

use crate::settings::{self, LogFormat};
use crate::telemetry::worker;

/// The command that has a log.
const SERVE: &str = "serve";

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(misuse) => return misused(&misuse),
    };
    if let Command::ExecuteRun(options) = &arguments.command {
        return execute_run::main(options);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(CliError::refused(format!("the runtime cannot start: {error}"))),
    };
    let log = log_of(&arguments);
    let result = runtime.block_on(run(arguments));
    // A blocking read of the standard input must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(finished) => finished.into(),
        Err(error) if log.is_some_and(|layers| layers.log_format() == LogFormat::Json) => {
            terminal::say(worker::json_error(&error.to_string()));
            error.into()
        }
        Err(error) => report(error),
    }
}

/// What says how the log of a worker looks: whoever reads it reads the worker's last words, too.
fn log_of(arguments: &Arguments) -> Option<Layers> {
    matches!(arguments.command, Command::Serve(_)).then(|| arguments.layers.clone())
}

/// A worker that is started in a wrong way says so as the rest of its log would look.
fn misused(misuse: &clap::Error) -> ExitCode {
    let serves = std::env::args_os().any(|argument| argument == SERVE);
    if !(misuse.use_stderr() && serves && settings::log_format(std::env::vars()) == LogFormat::Json) {
        misuse.exit();
    }
    let said = misuse.to_string();
    let error = CliError::refused(said.trim_end().trim_start_matches("error: "));
    terminal::say(worker::json_error(&error.to_string()));
    error.into()
}

async fn run(arguments: Arguments) -> Result<Finished, CliError> {
    let Arguments { layers, command } = arguments;
    match command {
        Command::Serve(options) => serve::run(&layers, options).await,
        Command::Demo(options) => demo::run(&layers, options).await,
        Command::Schedule(options) => schedule::run(&layers, *options).await,
        Command::Cancel(options) => cancel::run(&layers, options).await,
        Command::Watch(options) => watch::run(&layers, options).await,
        Command::Rejudge(options) => rejudge::run(&layers, options).await,
        Command::Import(options) => import::run(&layers, options).await,
        Command::Migrate => import::migrate(&layers).await,
        Command::Keys(options) => keys::run(&options),
        Command::DeadLetters(options) => dead_letters::run(&layers, options).await,
        Command::Health => Ok(health::run(&layers).await),
        Command::Config(options) => config::run(&layers, &options),
        Command::Schemas(options) => schemas::run(&options),
        Command::ExecuteRun(_) => Err(CliError::refused("`execute-run` brings its own runtime")),
    }
}

fn report(error: CliError) -> ExitCode {
    if !matches!(error, CliError::NobodyReads) {
        terminal::problem(&error.to_string());
    }
    error.into()
}
