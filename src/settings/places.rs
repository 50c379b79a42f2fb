//! Where a setting was given, so that whoever has to correct it finds it.

use std::path::Path;

use serde::Serialize;

use super::load::{ENVIRONMENT_PREFIX, ENVIRONMENT_SEPARATOR, known};
use crate::text::nearest;

/// What stands around the name of a setting in a complaint.
const QUOTE: char = '`';
/// A variable of the broker's, which reads it in `deploy/nats-permissions.conf`.
const BROKERS: &str = "SCENARIO_WORKER_PASSWORD";

/// The layers over the defaults.
#[derive(Debug)]
pub(super) struct Places<'a> {
    file: Option<(&'a Path, String)>,
    variables: Vec<String>,
    flags: Vec<&'a str>,
}

/// Something that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The setting, where it is one setting's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// Where it was given; absent where it was not, or is a matter of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl<'a> Places<'a> {
    /// The layers that [`load`](super::load()) reads. A file that cannot be read has no places.
    pub(super) fn new(
        file: Option<&'a Path>,
        variables: impl IntoIterator<Item = String>,
        flags: &[(&'a str, String)],
    ) -> Self {
        let file = file.and_then(|file| Some((file, std::fs::read_to_string(file).ok()?)));
        let variables = variables.into_iter().collect();
        Self { file, variables, flags: flags.iter().map(|(name, _)| *name).collect() }
    }

    /// The complaint with the place that it is about.
    pub(super) fn problem(&self, complaint: &str) -> Problem {
        let setting = complaint.strip_prefix(QUOTE).and_then(|rest| rest.split(QUOTE).next());
        let place = setting.and_then(|setting| self.of(setting));
        Problem { setting: setting.map(str::to_owned), place, message: complaint.to_owned() }
    }

    /// Where `setting` was given, by the layer that wins.
    fn of(&self, setting: &str) -> Option<String> {
        if self.flags.contains(&setting) {
            return Some("a flag of this command".to_owned());
        }
        let wanted = variable(setting);
        if let Some(name) = self.variables.iter().find(|name| name.eq_ignore_ascii_case(&wanted)) {
            return Some(format!("variable {name}"));
        }
        let (file, text) = self.file.as_ref()?;
        Some(format!("{}:{}", file.display(), line_of(text, setting)?))
    }
}

impl Problem {
    /// Something that is no one setting's fault.
    #[must_use]
    pub fn of_all(message: String) -> Self {
        Self { setting: None, place: None, message }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn variable(setting: &str) -> String {
    let name = setting.replace('.', ENVIRONMENT_SEPARATOR).to_uppercase();
    format!("{ENVIRONMENT_PREFIX}{ENVIRONMENT_SEPARATOR}{name}")
}

/// The line on which a file in TOML gives `setting`, from 1, where it does so in the usual way.
fn line_of(text: &str, setting: &str) -> Option<usize> {
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = format!("{}.", name.trim());
        } else if let Some((key, _)) = line.split_once('=')
            && format!("{section}{}", key.trim().trim_matches('"')) == setting
        {
            return Some(number);
        }
    }
    None
}

/// Variables that look like settings and are none, each with the one that it may have been meant to be.
#[must_use]
pub fn unread_variables(variables: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let (read, known) = (format!("{ENVIRONMENT_PREFIX}{ENVIRONMENT_SEPARATOR}"), known());
    let known: Vec<String> = known.iter().map(|setting| variable(setting)).collect();
    let is_like_one = |name: &String| {
        name.to_uppercase().starts_with(ENVIRONMENT_PREFIX) && !name.to_uppercase().starts_with(&read)
    };
    let meant = |name: String| {
        if name == BROKERS {
            return None;
        }
        let near = same_letters(&name, &known)?;
        Some((name, near.to_owned()))
    };
    variables.into_iter().filter(is_like_one).filter_map(meant).collect()
}

/// Most mistakes are in the underscores; of the letters nearly all have to be the same.
fn same_letters<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let bare = |name: &str| name.replace('_', "").to_uppercase();
    let letters: Vec<String> = known.iter().map(|known| bare(known)).collect();
    let name = bare(name);
    let near = nearest(&name, letters.iter().map(String::as_str))?;
    let at = letters.iter().position(|known| known == near)?;
    // The prefix alone makes any two of them alike.
    let prefix = bare(ENVIRONMENT_PREFIX);
    nearest(name.strip_prefix(&prefix)?, [near.strip_prefix(&prefix)?]).map(|_| known[at].as_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_complaint_names_the_layer_that_wins() {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        writeln!(file, "[worker]\n# many\nconcurrency = 0\n[run]\nmax_turns = 0\n[nats]\nurl = \"x\"")
            .unwrap();
        let flags = [("nats.url", "y".to_owned())];
        let variables = ["SCENARIO_WORKER__RUN__MAX_TURNS".to_owned()];
        let places = Places::new(Some(file.path()), variables, &flags);
        let place = |complaint: &str| places.problem(complaint).place.unwrap_or_default();
        assert!(place("`worker.concurrency` must be at least 1").ends_with(".toml:3"));
        assert_eq!(place("`run.max_turns` must be at least 1"), "variable SCENARIO_WORKER__RUN__MAX_TURNS");
        assert_eq!(place("`nats.url` is not a URL"), "a flag of this command");
        assert_eq!(place("`store.url` is a default"), "");
        assert_eq!(places.problem("all is wrong").setting, None);
    }

    #[test]
    fn a_variable_that_nobody_reads_is_noticed_if_it_looks_like_a_setting() {
        let names = [
            "SCENARIO_WORKER_NATS_URL",
            "SCENARIO_WORKER_WORKER__CONCURENCY",
            "SCENARIO_WORKER__RUN__MAX_TURNS",
            "SCENARIO_WORKER_LOG",
            "SCENARIO_WORKER_PASSWORD",
            "PATH",
        ];
        let unread = unread_variables(names.map(str::to_owned));
        let expected = [
            ("SCENARIO_WORKER_NATS_URL", "SCENARIO_WORKER__NATS__URL"),
            ("SCENARIO_WORKER_WORKER__CONCURENCY", "SCENARIO_WORKER__WORKER__CONCURRENCY"),
        ];
        assert_eq!(unread, expected.map(|(name, meant)| (name.to_owned(), meant.to_owned())));
    }
}
