//! `config check`: whether the settings can be used, and with `--connect` whether what they name is there.

use serde::Serialize;
use serde_json::Value;

use super::connect;
use crate::cli::arguments::{CheckOptions, Layers};
use crate::cli::error::{CliError, Finished};
use crate::cli::keys::keyring;
use crate::cli::terminal::{BAD, DIM, GOOD, WARN, emit, plain, say, styled};
use crate::settings::{Problem, Settings, unread_variables};

/// What names of settings that name files end in.
const FILE_SUFFIX: &str = "_file";

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It may be a mistake, and keeps nothing from working.
    Warning,
    /// It has to be changed.
    Refused,
    /// It is out of reach.
    #[serde(rename = "out_of_reach")]
    OutOfReach,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    check: &'static str,
    /// How it is.
    state: State,
    /// The setting, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<String>,
    /// Where that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// What was found.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    pub(super) fn new(check: &'static str, state: State, message: impl Into<String>) -> Self {
        Self { check, state, setting: None, place: None, message: message.into(), hint: None }
    }

    fn of_setting(problem: Problem) -> Self {
        let Problem { setting, place, message } = problem;
        Self { setting, place, ..Self::new("settings", State::Refused, message) }
    }

    pub(super) fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What a command would have failed with.
    pub(super) fn failed(check: &'static str, error: CliError) -> Self {
        let (error, hint) = match error {
            CliError::Hinted { error, hint } => (*error, Some(hint)),
            other => (other, None),
        };
        let state = if matches!(error, CliError::OutOfReach(_)) { State::OutOfReach } else { State::Refused };
        Self { hint, ..Self::new(check, state, error.to_string()) }
    }

    fn show(&self) {
        let mark = match self.state {
            State::Ok => styled(GOOD, "✔"),
            State::Warning => styled(WARN, "!"),
            State::Refused | State::OutOfReach => styled(BAD, "✘"),
        };
        let place = self.place.as_ref().map(|place| styled(DIM, format_args!(" ({})", plain(place))));
        say(format_args!("{mark} {}: {}{}", self.check, plain(&self.message), place.unwrap_or_default()));
        if let Some(hint) = &self.hint {
            say(format_args!("    {}", plain(hint)));
        }
    }
}

/// Looks at everything, and says each thing that was found.
pub(super) async fn run(layers: &Layers, options: &CheckOptions) -> Result<Finished, CliError> {
    let findings = look(layers, options.connect).await;
    for finding in &findings {
        if options.json {
            emit(finding)?;
        } else {
            finding.show();
        }
    }
    conclude(&findings, options)
}

async fn look(layers: &Layers, connect: bool) -> Vec<Finding> {
    let mut findings = variables();
    match layers.check() {
        Ok(settings) => {
            findings.push(usable(layers));
            findings.extend(files(&settings));
            if connect {
                findings.extend(connect::check(&settings).await);
            }
        }
        Err(problems) => findings.extend(problems.into_iter().map(Finding::of_setting)),
    }
    findings
}

fn conclude(findings: &[Finding], options: &CheckOptions) -> Result<Finished, CliError> {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (refused, away) = (count(State::Refused), count(State::OutOfReach));
    let message = format!("{} of {} checks failed", refused + away, findings.len());
    let failed = match (refused, away) {
        (0, 0) => {
            if !options.connect && !options.json {
                say(styled(DIM, "`config check --connect` also asks the store and the broker"));
            }
            return Ok(Finished::Well);
        }
        (0, _) => CliError::OutOfReach(message),
        _ => CliError::Refused(message),
    };
    // Each of them has been told.
    Err(failed.emitted_if(options.json))
}

fn usable(layers: &Layers) -> Finding {
    let from = match layers.file() {
        Some(file) => format!("the settings can be used (file {})", file.display()),
        None => "the settings can be used (no --config; defaults, variables and flags)".to_owned(),
    };
    Finding::new("settings", State::Ok, from)
}

/// Variables that somebody set in vain.
fn variables() -> Vec<Finding> {
    let unread = unread_variables(std::env::vars().map(|(name, _)| name));
    let finding = |(name, meant): (String, String)| {
        let message = format!("the variable {name} is not read");
        Finding::new("variables", State::Warning, message).hinted(format!("did you mean {meant}?"))
    };
    unread.into_iter().map(finding).collect()
}

/// Files that settings name have to be readable, and keys have to be keys.
fn files(settings: &Settings) -> Vec<Finding> {
    let shown = serde_json::to_value(settings).unwrap_or_default();
    let mut findings: Vec<Finding> =
        super::leaves("", &shown).into_iter().filter_map(|(name, value)| file(&name, value)).collect();
    if let Err(error) = keyring(&settings.store) {
        findings.push(Finding::failed("keys", error));
    }
    findings
}

/// The path is not repeated: it may be the secret itself, in the wrong setting.
fn file(setting: &str, value: &Value) -> Option<Finding> {
    let path = value.as_str().filter(|_| setting.ends_with(FILE_SUFFIX))?;
    let finding = match std::fs::File::open(path) {
        Ok(_) => Finding::new("files", State::Ok, format!("the file of `{setting}` can be read")),
        Err(error) => {
            Finding::new("files", State::Refused, format!("the file of `{setting}` cannot be read: {error}"))
                .hinted("correct the path, or let the user that runs the worker read the file")
        }
    };
    Some(Finding { setting: Some(setting.to_owned()), ..finding })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_is_named_has_to_be_there() {
        let there = tempfile::NamedTempFile::new().unwrap();
        let found = file("nats.credentials_file", &json!(there.path())).unwrap();
        assert_eq!(found.state, State::Ok);
        let missing = file("nats.credentials_file", &json!("/nowhere/at/all")).unwrap();
        assert_eq!(
            (missing.state, missing.setting.as_deref()),
            (State::Refused, Some("nats.credentials_file"))
        );
        assert!(
            file("nats.credentials_file", &Value::Null).is_none() && file("nats.url", &json!("x")).is_none()
        );
    }
}
