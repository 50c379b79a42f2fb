//! The process: parse the command line, run one command, report its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scenario_worker::cli::main()
}
