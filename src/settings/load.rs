//! Reading the layers.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde_json::{Map, Value};

use super::Settings;
use super::places::{Places, Problem};
use super::validation::problems;
use crate::text::nearest;

/// The embedded first layer, which documents every setting.
pub const DEFAULT_CONFIG: &str = include_str!("../../config/default.toml");
/// What the name of every environment variable begins with; sections follow behind two underscores.
pub const ENVIRONMENT_PREFIX: &str = "SCENARIO_WORKER";
/// What the settings are called that hold secrets, or lead to them: no complaint repeats their values.
const SECRET_SETTINGS: [&str; 6] = [
    "nats.nkey_seed",
    "nats.password",
    "nats.token",
    "store.encryption_keys",
    "store.url",
    "telemetry.receiver.token",
];
pub(super) const ENVIRONMENT_SEPARATOR: &str = "__";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file of `--config` is none.
    #[error("the settings cannot be read: {} is a folder; name a file in TOML", .0.display())]
    Folder(PathBuf),
    /// A layer cannot be read at all.
    #[error("the settings cannot be read{}: {source}", of_file(.file.as_deref()))]
    Unreadable {
        /// The file of `--config`, if one was given.
        file: Option<PathBuf>,
        /// What is wrong with it.
        source: config::ConfigError,
    },
    /// Values that cannot be used, all of them.
    #[error("the settings cannot be used:\n{}", .0.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

fn of_file(file: Option<&Path>) -> String {
    file.map(|f| format!(" (file {})", f.display())).unwrap_or_default()
}

/// Reads the layers and checks them as a whole. `overrides` are flags, as dotted names and values.
///
/// # Errors
/// [`SettingsError`] that lists every problem at once.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[(&str, String)],
) -> Result<Settings, SettingsError> {
    if let Some(folder) = file.filter(|file| file.is_dir()) {
        return Err(SettingsError::Folder(folder.to_path_buf()));
    }
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let names: Vec<String> = environment.iter().map(|(name, _)| name.clone()).collect();
    let merged = merge(file, environment, overrides)
        .map_err(|source| SettingsError::Unreadable { file: file.map(Path::to_path_buf), source })?;
    let (settings, mut found) = typed(&merged);
    found.extend(problems(&settings));
    if found.is_empty() {
        return Ok(settings);
    }
    let places = Places::new(file, names, overrides);
    Err(SettingsError::Invalid(found.iter().map(|complaint| places.problem(complaint)).collect()))
}

fn merge(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[(&str, String)],
) -> Result<Value, config::ConfigError> {
    let variables = Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator(ENVIRONMENT_SEPARATOR)
        .separator(ENVIRONMENT_SEPARATOR)
        .source(Some(environment.into_iter().collect()));
    let mut builder = Config::builder().add_source(File::from_str(DEFAULT_CONFIG, FileFormat::Toml));
    if let Some(file) = file {
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    builder = builder.add_source(variables);
    for (name, value) in overrides {
        builder = builder.set_override(*name, value.clone())?;
    }
    builder.build()?.try_deserialize()
}

/// Reads section by section and key by key, so that one wrong value does not hide the next.
fn typed(merged: &Value) -> (Settings, Vec<String>) {
    let mut found = Vec::new();
    let mut accepted = Value::Object(Map::new());
    for (path, leaf) in leaves(merged) {
        match readings(&path, leaf)
            .into_iter()
            .map(|reading| with(&accepted, &path, reading))
            .find_map(Result::ok)
        {
            Some(larger) => accepted = larger,
            None => found.push(complaint(&accepted, &path, leaf)),
        }
    }
    (serde_json::from_value(accepted).unwrap_or_default(), found)
}

/// What a value may mean: variables and flags arrive as text, whatever the setting's type is.
fn readings(path: &[String], leaf: &Value) -> Vec<Value> {
    let mut readings = vec![leaf.clone()];
    readings.extend(leaf.as_str().and_then(|text| serde_json::from_str(text).ok()));
    readings.extend(leaf.as_str().filter(|_| is_list(path)).map(list));
    readings
}

fn is_list(path: &[String]) -> bool {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    defaults.pointer(&format!("/{}", path.join("/"))).is_some_and(Value::is_array)
}

/// A list whose entries are separated by commas.
fn list(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

fn with(accepted: &Value, path: &[String], leaf: Value) -> Result<Value, serde_json::Error> {
    let mut attempt = accepted.clone();
    insert(&mut attempt, path, leaf);
    serde_json::from_value::<Settings>(attempt.clone())?;
    Ok(attempt)
}

/// An unknown key may be a misspelt secret, so only the values of known ones are repeated.
fn complaint(accepted: &Value, path: &[String], leaf: &Value) -> String {
    let name = path.join(".");
    match with(accepted, path, leaf.clone()) {
        Err(error) if !error.to_string().starts_with("unknown field") => {
            format!("`{name}` is {}: {error}", shown(&name, leaf))
        }
        Err(error) => format!("`{name}` is no setting{}: {error}", meant(&name)),
        Ok(_) => format!("`{name}` cannot be read"),
    }
}

fn meant(name: &str) -> String {
    let known = known();
    let near = nearest(name, known.iter().map(String::as_str));
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The names of all settings.
pub(super) fn known() -> Vec<String> {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    leaves(&defaults).into_iter().map(|(path, _)| path.join(".")).collect()
}

/// A value as a complaint repeats it. Lists and tables where a text belongs may hold one that is a credential.
fn shown(name: &str, leaf: &Value) -> String {
    match leaf {
        _ if SECRET_SETTINGS.iter().any(|secret| name.starts_with(secret)) => {
            "not what it has to be".to_owned()
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

fn leaves(value: &Value) -> Vec<(Vec<String>, &Value)> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), value)];
    };
    let below = |(key, value)| {
        leaves(value).into_iter().map(move |(mut path, leaf): (Vec<String>, _)| {
            path.insert(0, String::clone(key));
            (path, leaf)
        })
    };
    map.iter().flat_map(below).collect()
}

fn insert(target: &mut Value, path: &[String], leaf: Value) {
    match path {
        [] => *target = leaf,
        [head, tail @ ..] => insert(&mut target[head.as_str()], tail, leaf),
    }
}
