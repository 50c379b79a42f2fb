//! `completions`: what a shell needs to complete commands and flags, made from the arguments.

use clap_complete::Shell;

use super::arguments::CompletionOptions;
use super::error::{CliError, Finished};
use super::help;
use super::terminal::print;

/// What stands for the hyphen of a name in the two ways in which bash's script names the program.
const FOUND_AS: &str = "__subcmd__";
const LOOKED_UP_AS: &str = "__";

/// Prints the script of a shell.
pub(super) fn run(options: &CompletionOptions) -> Result<Finished, CliError> {
    print(&script(options.shell))?;
    Ok(Finished::Well)
}

fn script(shell: Shell) -> String {
    let (mut command, mut script) = (help::command(), Vec::new());
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash { consistent(&script, &name) } else { script }
}

/// The generator calls a program with a hyphen one thing where it looks a command up and another where it has found it, so
/// that nothing below the program would ever be completed (`clap_complete` 4.6.11).
fn consistent(script: &str, name: &str) -> String {
    script.replace(&name.replace('-', FOUND_AS), &name.replace('-', LOOKED_UP_AS))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_script_of_every_shell_names_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in help::command().get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell}: {} is missing", command.get_name());
            }
        }
    }
}
