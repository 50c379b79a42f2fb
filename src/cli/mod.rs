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
mod runs;
mod schedule;
mod schemas;
mod serve;
mod signals;
mod terminal;
mod watch;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use error::{CliError, Finished};

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Command::ExecuteRun(options) = &arguments.command {
        return execute_run::main(options);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(CliError::refused(format!("the runtime cannot start: {error}"))),
    };
    let result = runtime.block_on(run(arguments));
    // A blocking read of the standard input must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(finished) => finished.into(),
        Err(error) => report(error),
    }
}

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
