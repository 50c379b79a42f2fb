//! One file per command; everything is wired in `wiring`.

mod arguments;
mod cancel;
mod completions;
mod config;
mod database;
mod dead_letters;
mod demo;
mod error;
mod execute_run;
mod health;
mod help;
mod import;
mod keys;
mod listening;
mod man;
mod names;
mod receiving;
mod redaction;
mod rejudge;
mod runs;
mod schedule;
mod schemas;
mod serve;
mod signals;
mod terminal;
mod watch;
mod wiring;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use arguments::{Arguments, Command};
use error::{CliError, Finished};

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let parsed = help::command().try_get_matches();
    let (arguments, json) = match parsed
        .and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, help::asks_for_json(&matches))))
    {
        Ok(understood) => understood,
        Err(error) => return misunderstood(&error),
    };
    if let Command::ExecuteRun(options) = &arguments.command {
        return execute_run::main(options);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(CliError::refused(format!("the runtime cannot start: {error}")), json),
    };
    let result = runtime.block_on(run(arguments));
    // A blocking read of the standard input must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(finished) => finished.into(),
        Err(error) => report(error, json),
    }
}

#[expect(clippy::too_many_lines, reason = "one line a command")]
async fn run(arguments: Arguments) -> Result<Finished, CliError> {
    let Arguments { layers, command } = arguments;
    match command {
        Command::Serve(options) => serve::run(&layers, options).await,
        Command::Demo(options) => demo::run(&layers, options).await,
        Command::Schedule(options) => schedule::run(&layers, *options).await,
        Command::Cancel(options) => cancel::run(&layers, options).await,
        Command::Watch(options) => watch::run(&layers, options).await,
        Command::Runs(options) => runs::run(&layers, options).await,
        Command::Rejudge(options) => rejudge::run(&layers, options).await,
        Command::Import(options) => import::run(&layers, options).await,
        Command::Migrate(options) => import::migrate(&layers, &options).await,
        Command::Keys(options) => keys::run(&options),
        Command::DeadLetters(options) => dead_letters::run(&layers, options).await,
        Command::Health(options) => Ok(health::run(&layers, &options).await),
        Command::Config(options) => config::run(&layers, &options).await,
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
        Command::Schemas(options) => schemas::run(&options),
        Command::ExecuteRun(_) => Err(CliError::refused("`execute-run` brings its own runtime")),
    }
}

/// Says why a command could not do what it was asked to: people on the standard error, programs on the standard output.
fn report(error: CliError, json: bool) -> ExitCode {
    terminal::clear_progress();
    if let (true, Some(line)) = (json, error.for_programs()) {
        // Whoever does not read it has the exit code.
        drop(terminal::emit(&line));
    }
    match &error {
        CliError::NobodyReads => {}
        CliError::Hinted { error, hint } => terminal::hinted_problem(&error.to_string(), hint),
        error => terminal::problem(&error.to_string()),
    }
    error.into()
}

/// Help that was asked for is none of these errors, although the parser says so.
fn misunderstood(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args().any(|argument| argument == "--json") {
        let rendered = error.render().to_string();
        drop(terminal::emit(&error::ErrorLine::usage(rendered.trim_end())));
    }
    // A terminal that is gone is nobody to tell.
    drop(error.print());
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
