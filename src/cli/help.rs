//! What `--help` says beside the arguments: an example of every command.

use clap::{ArgMatches, Command, CommandFactory as _};

use super::arguments::Arguments;

/// The flag with which programs ask for JSON lines.
const JSON: &str = "json";
/// Between commands and their subcommands.
const BETWEEN: &str = " ";

/// Below the list of commands.
const FIRST_STEPS: &str = "\
First steps:
  scenario-worker demo                                         see it all, with nothing to set up
  scenario-worker import FILE                                  load your scenarios
  scenario-worker serve                                        run them, as long as it is up
  scenario-worker schedule --project P --scenario S --target http:ID --wait

Exit codes: 0 done and passed, 1 a run did not pass, 2 refused, 3 a server is out of reach.";

/// An example of each command.
const EXAMPLES: [(&str, &str); 26] = [
    ("serve", "scenario-worker serve --concurrency 128"),
    ("demo", "scenario-worker demo"),
    (
        "schedule",
        "scenario-worker schedule --project acme --scenario refund --target http:shop-agent --wait\n  \
         scenario-worker schedule --project acme --target http:shop-agent \\\n    \
         --matrix scenario=refund,returns --matrix region=eu,us --repeat 5 --key \"$CI_PIPELINE_ID\" --wait",
    ),
    ("cancel", "scenario-worker cancel --project acme scenariorun_0b9e1f"),
    (
        "watch",
        "scenario-worker watch --project acme\n  scenario-worker watch --batch scenariobatch_7c21 --size 20",
    ),
    ("rejudge", "scenario-worker rejudge --project acme scenariorun_0b9e1f --judge-model openai/gpt-5"),
    ("import", "OPENAI_API_KEY=\"$KEY\" scenario-worker import config/example.yaml"),
    ("migrate", "scenario-worker migrate --store-url postgres://worker@db/scenarios"),
    ("keys", "scenario-worker keys generate > keys"),
    ("keys generate", "scenario-worker keys generate > keys"),
    ("dead-letters", "scenario-worker dead-letters list"),
    ("dead-letters list", "scenario-worker dead-letters list --project acme"),
    ("dead-letters redrive", "scenario-worker dead-letters redrive 17 18"),
    ("dead-letters discard", "scenario-worker dead-letters discard --all"),
    ("health", "scenario-worker health && echo alive\n  scenario-worker health --ready --wait 30"),
    ("config", "scenario-worker config check --connect"),
    ("config check", "scenario-worker config check --config worker.toml --connect"),
    ("config show", "scenario-worker config show > worker.toml"),
    ("runs", "scenario-worker runs list"),
    ("runs list", "scenario-worker runs list --project acme"),
    ("runs show", "scenario-worker runs show --project acme scenariorun_0b9e1f"),
    ("runs prune", "scenario-worker runs prune"),
    ("schemas", "scenario-worker schemas run-completed"),
    (
        "completions",
        "scenario-worker completions bash > ~/.local/share/bash-completion/completions/scenario-worker",
    ),
    ("man", "scenario-worker man schedule | man -l -\n  scenario-worker man --write ~/.local/share/man/man1"),
    ("help", "scenario-worker help schedule"),
];

/// The command line with its examples.
pub(super) fn command() -> Command {
    with_examples(Arguments::command().after_help(FIRST_STEPS), "")
}

fn with_examples(command: Command, path: &str) -> Command {
    let command = match EXAMPLES.iter().find(|(of, _)| *of == path) {
        Some((_, example)) => command.after_help(format!("Example:\n  {example}")),
        None => command,
    };
    command.mut_subcommands(|below| {
        let path = if path.is_empty() {
            below.get_name().to_owned()
        } else {
            [path, below.get_name()].join(BETWEEN)
        };
        with_examples(below, &path)
    })
}

/// Whether a program reads what comes of the command.
pub(super) fn asks_for_json(matches: &ArgMatches) -> bool {
    if let Some((_, below)) = matches.subcommand() {
        return asks_for_json(below);
    }
    matches.try_get_one::<bool>(JSON).is_ok_and(|given| given == Some(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(command: &Command, path: &str) -> Vec<(String, Command)> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        below
            .flat_map(|below| {
                let path = format!("{path} {}", below.get_name());
                let own = (path.trim().to_owned(), below.clone());
                std::iter::once(own).chain(paths(below, &path))
            })
            .collect()
    }

    #[test]
    fn every_command_has_an_example_that_can_be_parsed() {
        for (path, command) in paths(&super::command(), "") {
            let help =
                command.get_after_help().unwrap_or_else(|| panic!("{path} has no example")).to_string();
            assert!(help.starts_with("Example:\n"), "{path}: {help}");
            let commands = help.replace("\\\n", "");
            let lines = commands.lines().skip(1).filter_map(|line| line.split_once("scenario-worker "));
            for (_, line) in lines {
                let shell = line.split([';', '|', '>', '&']).next().unwrap();
                let words = shell.split_whitespace().map(|word| word.trim_matches('"'));
                let parsed =
                    super::command().try_get_matches_from(std::iter::once("scenario-worker").chain(words));
                assert!(parsed.is_ok(), "{path}: {:?}", parsed.err().map(|error| error.to_string()));
            }
        }
    }

    #[test]
    fn the_command_line_is_sound_and_says_who_asks_for_json() {
        super::command().debug_assert();
        let json = |words: &[&str]| asks_for_json(&super::command().try_get_matches_from(words).unwrap());
        assert!(
            json(&["scenario-worker", "watch", "--json"])
                && json(&["scenario-worker", "config", "show", "--json"])
        );
        assert!(!json(&["scenario-worker", "watch"]) && !json(&["scenario-worker", "demo"]));
    }
}
