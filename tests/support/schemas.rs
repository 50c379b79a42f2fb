//! The committed schemas, and what they say of a value.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;

/// The folder of the committed files.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// A committed file as JSON.
pub(crate) fn committed(file_name: &str) -> Value {
    let path = folder().join(file_name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The validator of the committed schema called `name`. Formats count, and nothing is fetched.
pub(crate) fn validator(name: &str) -> Validator {
    let options =
        jsonschema::options().offline().should_validate_formats(true).should_ignore_unknown_formats(false);
    options.build(&committed(&format!("{name}.schema.json"))).unwrap()
}

/// What `validator` has against `value`.
pub(crate) fn problems(validator: &Validator, value: &Value) -> Vec<String> {
    let problem =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path().as_str());
    validator.iter_errors(value).map(problem).collect()
}
