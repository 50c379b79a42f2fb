//! `config check` and `config show`: the settings in force.

use serde_json::Value;

mod check;
mod connect;

use super::arguments::{ConfigAction, ConfigOptions, Layers};
use super::error::{CliError, Finished};
use super::redaction::redact;
use super::terminal::{emit, print};

/// Checks the settings, or prints them without their secrets.
pub(super) async fn run(layers: &Layers, options: &ConfigOptions) -> Result<Finished, CliError> {
    match &options.action {
        ConfigAction::Check(options) => check::run(layers, options).await,
        ConfigAction::Show { json } => show(layers, *json),
    }
}

fn show(layers: &Layers, json: bool) -> Result<Finished, CliError> {
    let mut shown = serde_json::to_value(layers.settings()?).map_err(CliError::refused)?;
    redact(&mut shown);
    if json {
        emit(&shown)?;
    } else {
        print(&toml(&shown))?;
    }
    Ok(Finished::Well)
}

/// The settings as a file that can be used.
fn toml(shown: &Value) -> String {
    let (mut lines, mut section) = (Vec::new(), String::new());
    for (path, value) in leaves("", shown) {
        let (name, key) = path.rsplit_once('.').unwrap_or(("", &path));
        if name != section {
            name.clone_into(&mut section);
            lines.push(format!("\n[{section}]"));
        }
        lines.push(match value {
            Value::Null => format!("# {key} is unset"),
            value => format!("{key} = {value}"),
        });
    }
    lines.join("\n") + "\n"
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
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_settings_shown_are_a_file_that_can_be_used() {
        let settings = crate::settings::Settings::default();
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        file.write_all(toml(&serde_json::to_value(&settings).unwrap()).as_bytes()).unwrap();
        assert_eq!(crate::settings::load(Some(file.path()), [], &[]).unwrap(), settings);
    }
}
