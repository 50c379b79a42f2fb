//! What is wrong in definition files, and where.

use std::fmt;

use super::variables::Hidden;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// Where in the file, if it is one place.
    pub place: Option<Place>,
    /// The field, such as `scenarios[0].maxTurns`; empty if it is no single field.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Everything that is wrong, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing was imported, the definitions have problems:\n{}", lines(.0))]
pub struct Problems(Vec<Problem>);

impl Problem {
    pub(super) fn of_file(file: &str, reason: &str) -> Self {
        Self { file: file.to_owned(), place: None, field: String::new(), reason: reason.to_owned() }
    }

    /// The text of the file is not shown: it may hold credentials.
    pub(super) fn of_syntax(file: &str, error: &serde_saphyr::Error) -> Self {
        let place = error.location().map(Place::from);
        let mut reason = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
        // It names the place once more, after what is wrong.
        if let Some(end) = reason.find(" at line ").filter(|_| place.is_some()) {
            reason.truncate(end);
        }
        Self { place, ..Self::of_file(file, &reason) }
    }

    pub(super) fn without(mut self, hidden: &Hidden) -> Self {
        self.reason = hidden.remove_from(&self.reason);
        self
    }
}

impl Problems {
    /// What is wrong, file by file in the order of the text.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    pub(in crate::store) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(place) = self.place {
            write!(f, "{}:{}:", place.line, place.column)?;
        }
        if !self.field.is_empty() {
            write!(f, " `{}`:", self.field)?;
        }
        write!(f, " {}", self.reason)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
