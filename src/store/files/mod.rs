//! Definition files: YAML or JSON text, checked, with the place of everything that is wrong.

mod document;
mod field;
mod node;
mod parsed;
mod problem;
mod reader;
mod rules;
mod spelling;
mod variables;

use std::io;
use std::path::{Path, PathBuf};

use self::node::Node;
pub use self::parsed::ParsedDocument;
pub use self::problem::{Place, Problem, Problems};
use self::reader::Reader;
use self::variables::Variables;
use crate::execution::ports::TextTemplates;

/// A definition file before it is understood.
#[derive(Clone)]
pub struct SourceFile {
    /// What the file is called in errors.
    pub name: String,
    /// Its text: YAML, of which JSON is a part. It may hold credentials, so there is no `Debug`.
    pub text: String,
}

/// A definition file that could not be read from the disk.
#[derive(Debug, thiserror::Error)]
#[error("reading the definition file '{}' failed", path.display())]
pub struct UnreadableFile {
    path: PathBuf,
    source: io::Error,
}

impl SourceFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`UnreadableFile`] if it cannot be opened or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, UnreadableFile> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| UnreadableFile { path: path.to_owned(), source })?;
        Ok(Self { name: path.display().to_string(), text })
    }
}

/// What definitions are checked with beyond their own words. What is not given is not checked.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// Reads templates.
    pub texts: Option<&'a dyn TextTemplates>,
    /// The setting `run.max_turns`.
    pub max_turns: Option<u32>,
}

/// Understands `files`, as far as they can be without their surroundings; see [`parse_in`].
///
/// # Errors
/// [`Problems`] with everything that is wrong in any of the files.
pub fn parse(
    files: &[SourceFile],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<ParsedDocument>, Problems> {
    parse_in(files, variable, Surroundings::default())
}

/// Understands `files`. `variable` gives the value of an environment variable that a text refers to as `${NAME}`.
///
/// # Errors
/// [`Problems`] with everything that is wrong in any of the files.
pub fn parse_in(
    files: &[SourceFile],
    variable: &dyn Fn(&str) -> Option<String>,
    surroundings: Surroundings<'_>,
) -> Result<Vec<ParsedDocument>, Problems> {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match node::parse(&file.text) {
            Ok(roots) if roots.is_empty() => {
                problems.push(Problem::of_file(&file.name, "it has no document in it"));
            }
            Ok(roots) => roots.into_iter().for_each(|root| {
                documents.extend(read_document(
                    Reader::new(&file.name, surroundings),
                    root,
                    variable,
                    &mut problems,
                ));
            }),
            Err(error) => problems.push(Problem::of_syntax(&file.name, &error)),
        }
    }
    Problems::unless_empty(problems)?;
    Ok(documents)
}

fn read_document(
    mut reader: Reader<'_>,
    mut root: Node,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<ParsedDocument> {
    let mut variables = Variables::new(variable);
    for (path, place, reason) in variables.expand(&mut root) {
        reader.report_at(path, place, reason);
    }
    let (found, file) = (reader.document(&root), reader.file().to_owned());
    let hidden = variables.into_hidden();
    problems.extend(reader.into_problems().into_iter().map(|problem| problem.without(&hidden)));
    let (document, origins) = found?;
    Some(ParsedDocument::new(&file, document, origins, hidden))
}

#[cfg(test)]
mod tests;
