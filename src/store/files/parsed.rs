//! A document that has been understood.

use std::collections::BTreeMap;
use std::fmt;

use super::problem::{Place, Problem};
use super::variables::Hidden;
use crate::definitions::Document;
use crate::store::Kind;

/// Where the definitions of a document are: field and place by kind and id.
pub(super) type Origins = BTreeMap<(Kind, String), (String, Place)>;

/// A document of a definition file, checked as far as it can be without knowing the agents' types.
#[derive(Clone)]
pub struct ParsedDocument {
    file: String,
    document: Document,
    origins: Origins,
    hidden: Hidden,
}

impl ParsedDocument {
    pub(super) fn new(file: &str, document: Document, origins: Origins, hidden: Hidden) -> Self {
        Self { file: file.to_owned(), document, origins, hidden }
    }

    /// What it says.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The file that it is from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Says that the definition `id` is wrong; values of environment variables in `reason` are not shown.
    pub(in crate::store) fn problem(&self, kind: Kind, id: &str, reason: &str) -> Problem {
        let origin = self.origins.get(&(kind, id.to_owned()));
        let (field, place) =
            origin.map_or((String::new(), None), |(field, place)| (field.clone(), Some(*place)));
        let reason = reason.to_owned();
        Problem { file: self.file.clone(), place, field, reason }.without(&self.hidden)
    }
}

impl fmt::Debug for ParsedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedDocument")
            .field("file", &self.file)
            .field("project", &self.document.project.id)
            .finish_non_exhaustive()
    }
}
