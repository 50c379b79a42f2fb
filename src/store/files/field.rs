//! A value of a document together with its name, as an error shows it.

use serde_path_to_error::Segment;

use super::node::{Content, Node};
use super::problem::Place;

/// A value, what it is called from the root of its document, and where it is.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) place: Place,
}

/// The name of `key` below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Field<'a> {
    /// The whole document.
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new(), place: node.place }
    }

    /// The value of `key`, if this is a mapping that has it and it is not null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let (_, node) = self.entries().iter().find(|(entry, _)| entry.name == key)?;
        let null = matches!(node.content, Content::Scalar(serde_json::Value::Null));
        (!null).then(|| Self { node, path: join(&self.path, key), place: node.place })
    }

    /// The value of `key`, or where it is missing.
    pub(super) fn at(&self, key: &str) -> Self {
        self.get(key).unwrap_or_else(|| Self { path: join(&self.path, key), ..self.clone() })
    }

    /// The `index`-th item, or where it is missing.
    pub(super) fn item(&self, index: usize) -> Self {
        let node = self.list().get(index);
        let (node, place) = node.map_or((self.node, self.place), |node| (node, node.place));
        Self { node, path: format!("{}[{index}]", self.path), place }
    }

    /// `key` itself instead of its value.
    pub(super) fn key(&self, key: &str) -> Self {
        let entry = self.entries().iter().find(|(entry, _)| entry.name == key);
        let place = entry.map_or(self.place, |(entry, _)| entry.place);
        Self { path: join(&self.path, key), place, ..self.clone() }
    }

    /// The entries, none if this is no mapping.
    pub(super) fn entries(&self) -> &'a [(super::node::Key, Node)] {
        match &self.node.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items, none if this is no list.
    pub(super) fn list(&self) -> &'a [Node] {
        match &self.node.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// What `path` leads to from here.
    pub(super) fn follow(&self, path: &[&Segment]) -> Self {
        path.iter().fold(self.clone(), |field, segment| match segment {
            Segment::Seq { index } => field.item(*index),
            Segment::Map { key } => field.at(key),
            Segment::Enum { .. } | Segment::Unknown => field,
        })
    }
}
