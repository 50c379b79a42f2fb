//! Reads typed values out of a document and remembers what is wrong.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::Surroundings;
use super::field::Field;
use super::node::{Content, Node};
use super::parsed::Origins;
use super::problem::{Place, Problem};
use super::spelling;
use crate::definitions::Document;
use crate::store::Kind;

/// The field of every definition that holds a credential.
const API_KEY: &str = "apiKey";

/// How serde begins to say that a key is missing.
const MISSING_FIELD: &str = "missing field `";
/// How serde begins to say that a key is not known.
const UNKNOWN_FIELD: &str = "unknown field `";

/// What is said of a credential of the wrong type: the usual words would show it.
pub(super) const NOT_A_TEXT: &str = "must be a text; put it in quotes if it looks like a number";

/// Reads one document.
pub(super) struct Reader<'a> {
    file: &'a str,
    /// What definitions are checked with beyond their own words.
    pub(super) surroundings: Surroundings<'a>,
    problems: Vec<Problem>,
    origins: Origins,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, surroundings: Surroundings<'a>) -> Self {
        Self { file, surroundings, problems: Vec::new(), origins: Origins::new() }
    }

    /// The file that the document is from.
    pub(super) fn file(&self) -> &str {
        self.file
    }

    /// Everything that was wrong, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }

    /// The whole document, unless its shape is wrong, with the places of its definitions.
    pub(super) fn document(&mut self, root: &Node) -> Option<(Document, Origins)> {
        let document = super::document::read(self, &Field::root(root))?;
        Some((document, std::mem::take(&mut self.origins)))
    }

    pub(super) fn report(&mut self, field: &Field<'_>, reason: impl Into<String>) {
        self.report_at(field.path.clone(), field.place, reason.into());
    }

    pub(super) fn report_at(&mut self, field: String, place: Place, reason: String) {
        self.problems.push(Problem { file: self.file.to_owned(), place: Some(place), field, reason });
    }

    /// Remembers where the definition `id` is, and refuses a second one.
    pub(super) fn define(&mut self, kind: Kind, id: &str, field: &Field<'_>) {
        let origin = (field.path.clone(), field.place);
        if let Some((_, first)) = self.origins.insert((kind, id.to_owned()), origin) {
            let reason = format!("{kind} '{id}' is defined twice, first in line {}", first.line);
            self.report(field, reason);
        }
    }

    /// The items of the list `key` that have the shape of `T`, with their fields. What has an id is defined by it.
    pub(super) fn list<'n, T: DeserializeOwned>(
        &mut self,
        parent: &Field<'n>,
        key: &str,
        kind: Kind,
    ) -> Vec<(Field<'n>, T)> {
        let Some(list) = parent.get(key) else { return Vec::new() };
        if !matches!(list.node.content, Content::List(_)) {
            self.report(&list, "must be a list");
        }
        let fields: Vec<_> = (0..list.list().len()).map(|index| list.item(index)).collect();
        for field in &fields {
            if let Some(Content::Scalar(Value::String(id))) = field.get("id").map(|id| &id.node.content) {
                self.define(kind, id, field);
            }
        }
        fields.into_iter().filter_map(|field| self.value(&field).map(|value| (field, value))).collect()
    }

    /// The value of `field` if it has the shape of `T`. Keys that `T` does not know are reported, each of them, and
    /// the rest is read without them.
    pub(super) fn value<T: DeserializeOwned>(&mut self, field: &Field<'_>) -> Option<T> {
        let (mut json, mut mistaken) = (field.node.to_json(), BTreeSet::new());
        loop {
            let error = match serde_path_to_error::deserialize(&json) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let (path, reason) = (Vec::from_iter(error.path()), error.inner().to_string());
            let unknown = path.split_last().filter(|_| reason.starts_with(UNKNOWN_FIELD));
            let Some((key, parent)) = unknown.and_then(|(last, parent)| Some((key(last)?, parent))) else {
                let place = field.follow(&path);
                // What a mapping lacks may be what one of its keys was meant to be.
                if !mistaken.contains(&place.path) || reason.starts_with(MISSING_FIELD) {
                    self.misfit(&place, &reason);
                }
                return None;
            };
            let place = field.follow(parent);
            self.report(&place.key(key), spelling::with_the_nearest(key, &reason));
            mistaken.insert(place.path);
            remove(&mut json, parent, key)?;
        }
    }

    fn misfit(&mut self, field: &Field<'_>, reason: &str) {
        self.report(field, if field.path.ends_with(API_KEY) { NOT_A_TEXT } else { reason });
    }
}

fn key(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Map { key } => Some(key),
        _ => None,
    }
}

/// Removes `key` from the mapping that `path` leads to, if it is there.
fn remove(json: &mut Value, path: &[&Segment], key: &str) -> Option<()> {
    let mapping = path.iter().try_fold(json, |value, segment| match segment {
        Segment::Seq { index } => value.get_mut(index),
        Segment::Map { key } => value.get_mut(key),
        Segment::Enum { .. } | Segment::Unknown => Some(value),
    })?;
    mapping.as_object_mut()?.shift_remove(key).map(drop)
}
