//! `config check` and `config show`: the settings in force.

use serde_json::Value;
use url::Url;

use super::arguments::{ConfigAction, ConfigOptions, Layers};
use super::error::{CliError, Finished};
use super::terminal::{emit, say};
use crate::definitions::REDACTED;

/// Checks the settings, or prints them without their secrets.
pub(super) fn run(layers: &Layers, options: &ConfigOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let mut shown = serde_json::to_value(&settings).map_err(CliError::refused)?;
    redact(&mut shown);
    match options.action {
        ConfigAction::Check => say("the settings can be used"),
        ConfigAction::Show { json: true } => emit(&shown)?,
        ConfigAction::Show { json: false } => show(&shown),
    }
    Ok(Finished::Well)
}

/// A URL may hold a password, wherever it stands.
fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(redact),
        Value::String(text) => *text = text.split(',').map(redact_url).collect::<Vec<_>>().join(","),
        _ => {}
    }
}

fn redact_url(text: &str) -> String {
    match Url::parse(text.trim()) {
        Ok(url) if url.password().is_some() => {
            text.replace(&format!(":{}@", url.password().unwrap_or_default()), &format!(":{REDACTED}@"))
        }
        Ok(url) if !url.username().is_empty() => {
            text.replace(&format!("{}@", url.username()), &format!("{REDACTED}@"))
        }
        _ => text.to_owned(),
    }
}

#[expect(clippy::print_stdout, reason = "the settings are what was asked for")]
fn show(shown: &Value) {
    let mut section = String::new();
    for (path, value) in leaves("", shown) {
        let (name, key) = path.rsplit_once('.').unwrap_or(("", &path));
        if name != section {
            name.clone_into(&mut section);
            println!("\n[{section}]");
        }
        match value {
            Value::Null => println!("# {key} is unset"),
            value => println!("{key} = {value}"),
        }
    }
}

fn leaves<'a>(path: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    let Value::Object(map) = value else { return vec![(path.to_owned(), value)] };
    let name = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let mut below: Vec<(&String, &Value)> = map.iter().collect();
    below.sort_by_key(|(_, value)| value.is_object());
    below.into_iter().flat_map(|(key, value)| leaves(&name(key), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(redact_url("postgres://u:hunter2@h/d"), "postgres://u:[redacted]@h/d");
        assert_eq!(redact_url("nats://token@h:4222"), "nats://[redacted]@h:4222");
        let mut two = Value::from("nats://a:x@h,nats://b:y@h");
        redact(&mut two);
        assert_eq!(two, "nats://a:[redacted]@h,nats://b:[redacted]@h");
        assert_eq!(redact_url("sqlite://scenario-worker.db"), "sqlite://scenario-worker.db");
    }

    #[test]
    fn the_settings_shown_are_a_file_that_can_be_used() {
        let shown = serde_json::to_value(crate::settings::Settings::default()).unwrap();
        assert!(leaves("", &shown).iter().any(|(path, _)| path == "telemetry.run.deadline_seconds"));
    }
}
