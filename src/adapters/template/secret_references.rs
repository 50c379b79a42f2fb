//! `{{ secrets.NAME }}`: found before a template is read, put in after it is rendered.
//!
//! So a secret's value is never template source, and what an agent or a customer says never names a secret.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::escape::url_component;
use crate::definitions::{Secret, Secrets};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const SECRETS: &str = "secrets.";

/// A text with its references to secrets taken out.
pub(crate) struct SecretText {
    fenced: String,
    references: Vec<Reference>,
}

struct Reference {
    /// Stands for it in the fenced text; nobody can know it.
    placeholder: String,
    name: String,
    /// As it is written in the definition.
    source: String,
    value: Option<Secret>,
}

impl SecretText {
    /// Takes the references out of `source`.
    pub(crate) fn new(source: &str) -> Self {
        let nonce = Uuid::new_v4().simple();
        let (mut fenced, mut references) = (String::with_capacity(source.len()), Vec::new());
        let mut rest = source;
        while let Some(at) = rest.find(OPEN) {
            fenced.push_str(&rest[..at]);
            rest = &rest[at..];
            let taken = if let Some((length, name)) = reference(rest) {
                let placeholder = format!("secret-{nonce}-{}-", references.len());
                fenced.push_str(&placeholder);
                let (name, source) = (name.to_owned(), rest[..length].to_owned());
                references.push(Reference { placeholder, name, source, value: None });
                length
            } else {
                fenced.push_str(OPEN);
                OPEN.len()
            };
            rest = &rest[taken..];
        }
        fenced.push_str(rest);
        Self { fenced, references }
    }

    /// The text with placeholders for its references.
    pub(crate) fn fenced(&self) -> &str {
        &self.fenced
    }

    /// Whether it names no secret.
    pub(crate) fn is_plain(&self) -> bool {
        self.references.is_empty()
    }

    /// Names of the secrets in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|reference| reference.name.as_str())
    }

    /// Makes every reference stand for its value, or returns the name that is not in `secrets`.
    pub(crate) fn resolve(&mut self, secrets: &Secrets) -> Result<(), String> {
        for reference in &mut self.references {
            let value = secrets.get(&reference.name).ok_or_else(|| reference.name.clone())?;
            reference.value = Some(value.clone());
        }
        Ok(())
    }

    /// What stands for the references that have a value, as long as it does.
    pub(super) fn resolved_placeholders(&self) -> impl Iterator<Item = &str> {
        let resolved = self.references.iter().filter(|reference| reference.value.is_some());
        resolved.map(|reference| reference.placeholder.as_str())
    }

    /// Puts into `text` what the placeholders stand for: the value, or the reference where it is not resolved.
    pub(crate) fn restore(&self, text: String) -> String {
        self.restore_as(text, str::to_owned)
    }

    /// The same with every value in the `form` that its place needs.
    pub(super) fn restore_as(&self, text: String, form: impl Fn(&str) -> String) -> String {
        self.references.iter().fold(text, |text, reference| {
            let value = reference.value.as_ref().map(|value| form(value.expose()));
            text.replace(&reference.placeholder, value.as_deref().unwrap_or(&reference.source))
        })
    }

    /// Puts into `url` what the placeholders stand for. What begins it may be a whole address, and is put in as it is;
    /// anything else is one component.
    pub(super) fn restore_url(&self, url: &str) -> String {
        let first = self.references.iter().find_map(|reference| {
            let value = reference.value.as_ref()?;
            Some((value.expose(), url.strip_prefix(reference.placeholder.as_str())?))
        });
        let (begin, rest) = first.unwrap_or(("", url));
        format!("{begin}{}", self.restore_as(rest.to_owned(), url_component))
    }

    /// The whole text as a URL, with what its references stand for.
    pub(crate) fn url(&self) -> String {
        self.restore_url(&self.fenced)
    }

    /// The whole text with what its references stand for.
    pub(crate) fn text(&self) -> String {
        self.restore(self.fenced.clone())
    }
}

/// Names of the secrets that texts within `value` refer to, names of fields included.
pub(crate) fn secrets_named_in(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => SecretText::new(text).names().map(str::to_owned).collect(),
        Value::Array(values) => values.iter().flat_map(secrets_named_in).collect(),
        Value::Object(fields) => {
            let named = |(name, value): (&String, &Value)| {
                secrets_named_in(&Value::from(name.as_str())).into_iter().chain(secrets_named_in(value))
            };
            fields.iter().flat_map(named).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => BTreeSet::new(),
    }
}

/// The length of the reference that `text` begins with, and the name in it.
fn reference(text: &str) -> Option<(usize, &str)> {
    let inside = text.strip_prefix(OPEN)?.trim_start().strip_prefix(SECRETS)?;
    let (name, behind) = inside.split_at(inside.find(|c| !is_name_character(c))?);
    let after = behind.trim_start().strip_prefix(CLOSE)?;
    let is_name = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    is_name.then(|| (text.len() - after.len(), name))
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
