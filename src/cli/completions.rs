//! `completions`: what a shell needs to complete commands and flags, made from the arguments.

use super::arguments::CompletionOptions;
use super::error::{CliError, Finished};
use super::help;
use super::terminal::print;

/// Prints the script of a shell.
pub(super) fn run(options: &CompletionOptions) -> Result<Finished, CliError> {
    let (mut command, mut script) = (help::command(), Vec::new());
    let name = command.get_name().to_owned();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Finished::Well)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn the_script_of_every_shell_names_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut help::command(), "scenario-worker", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in help::command().get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell}: {} is missing", command.get_name());
            }
        }
    }
}
