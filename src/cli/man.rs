//! `man`: manual pages, made from the arguments.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::arguments::ManOptions;
use super::error::{CliError, Finished};
use super::help;
use super::terminal::{print, say};

/// The manual's section of programs.
const SECTION: &str = "1";
/// What pages are from, and what they are part of.
const SOURCE: &str = concat!("scenario-worker ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "Scenario Worker";

/// Prints one page, or writes all of them.
pub(super) fn run(options: &ManOptions) -> Result<Finished, CliError> {
    let command = built();
    match &options.write {
        Some(folder) => write(folder, &command)?,
        None => print(&page(find(&command, &options.command)?)?)?,
    }
    Ok(Finished::Well)
}

/// The whole command line; pages are called by the names of their commands, joined by hyphens.
fn built() -> Command {
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    named(command, "")
}

fn named(command: Command, above: &str) -> Command {
    let name = if above.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{above}-{}", command.get_name())
    };
    let display = name.clone();
    command.display_name(display).mut_subcommands(|below| named(below, &name))
}

fn find<'a>(command: &'a Command, path: &[String]) -> Result<&'a Command, CliError> {
    path.iter().try_fold(command, |above, name| {
        above.find_subcommand(name).filter(|found| !found.is_hide_set()).ok_or_else(|| {
            let names: Vec<&str> = shown(above).map(Command::get_name).collect();
            let there = if names.is_empty() {
                "it has none".to_owned()
            } else {
                format!("there is: {}", names.join(", "))
            };
            CliError::Refused(format!("{} has no command '{name}'", above.get_name())).hinted(there)
        })
    })
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

fn page(command: &Command) -> Result<String, CliError> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section(SECTION).source(SOURCE).manual(MANUAL);
    man.render(&mut page).map_err(CliError::refused)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(folder: &Path, command: &Command) -> Result<(), CliError> {
    let failed = |error| {
        CliError::refused(format!("writing manual pages into '{}' failed: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let pages = all(command);
    for command in &pages {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        std::fs::write(folder.join(format!("{name}.{SECTION}")), page(command)?).map_err(failed)?;
    }
    say(format_args!("{} pages written into '{}'", pages.len(), folder.display()));
    Ok(())
}

/// The command and everything below it.
fn all(command: &Command) -> Vec<&Command> {
    std::iter::once(command).chain(shown(command).flat_map(all)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_the_program_and_for_every_command() {
        let command = built();
        let program = page(&command).unwrap();
        for below in shown(&command) {
            let name = below.get_display_name().unwrap().replace('-', r"\-");
            assert!(program.contains(&name), "{name} is not in the page of the program");
        }
        let names: Vec<&str> =
            all(&command).iter().filter_map(|command| command.get_display_name()).collect();
        assert!(
            names.contains(&"scenario-worker-dead-letters-list")
                && names.contains(&"scenario-worker-schedule")
        );
        assert!(!names.iter().any(|name| name.contains("execute-run")), "what is hidden has no page");
    }

    #[test]
    fn a_page_that_is_not_there_is_refused_with_those_that_are() {
        let error = find(&built(), &["config".to_owned(), "nope".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no command 'nope'") && error.contains("check, show"), "{error}");
    }
}
