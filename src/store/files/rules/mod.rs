//! What must hold of definitions beyond their shape.

mod check;
mod json;
mod limits;
mod parameter;
mod project;
mod prompt_tools;
mod provider;
mod reply_form;
mod scenario;
mod script;
mod settings;
mod text;

pub(super) use self::limits::limits;
pub(super) use self::project::project;
pub(super) use self::provider::provider;
pub(super) use self::scenario::scenario;
pub(super) use self::settings::prompt;
use url::Url;

use super::field::Field;
use super::reader::Reader;
use crate::events::MAX_ID_CHARS;
use crate::execution::types::ModelName;

/// An id that is no token of a subject.
pub(super) fn id(reader: &mut Reader<'_>, field: &Field<'_>, id: &str) {
    if id.is_empty() || id.chars().count() > MAX_ID_CHARS || id.chars().any(char::is_control) {
        let reason = format!("must have 1 to {MAX_ID_CHARS} characters, none of them a control character");
        reader.report(field, reason);
    }
}

fn between(reader: &mut Reader<'_>, field: &Field<'_>, value: Option<u32>, least: u32, most: u32) {
    match value {
        Some(value) if value < least || value > most => {
            reader.report(field, format!("is {value}; it must be {least} to {most}"));
        }
        _ => {}
    }
}

fn at_least_one(reader: &mut Reader<'_>, field: &Field<'_>, value: Option<u64>) {
    if value == Some(0) {
        reader.report(field, "is 0; it must be at least 1");
    }
}

fn some_text(reader: &mut Reader<'_>, field: &Field<'_>, text: &str) {
    if text.trim().is_empty() {
        reader.report(field, "must have a text");
    }
}

fn at_most_chars(reader: &mut Reader<'_>, field: &Field<'_>, text: &str, most: usize) {
    let chars = text.chars().count();
    if chars > most {
        reader.report(field, format!("has {chars} characters; it can have {most}"));
    }
}

fn model(reader: &mut Reader<'_>, field: &Field<'_>, name: Option<&str>) {
    if let Some(Err(error)) = name.map(ModelName::parse) {
        reader.report(field, error.to_string());
    }
}

/// The value is not repeated: a URL may hold a password.
fn web_address(reader: &mut Reader<'_>, field: &Field<'_>, url: &str) {
    match Url::parse(url) {
        Ok(parsed) if ["http", "https"].contains(&parsed.scheme()) && parsed.has_host() => {}
        Ok(_) => reader.report(field, "must be an http:// or https:// URL"),
        Err(error) => reader.report(field, format!("is not a URL: {error}")),
    }
}

#[cfg(test)]
mod tests;
