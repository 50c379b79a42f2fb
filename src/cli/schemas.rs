//! `schemas`: what payloads and definition files look like.

use std::path::Path;

use super::arguments::SchemaOptions;
use super::error::{CliError, Finished};
use super::terminal::{print, say};
use crate::schemas::{SchemaFile, files};

/// Prints the names of all, prints one, or writes all of them into a folder.
pub(super) fn run(options: &SchemaOptions) -> Result<Finished, CliError> {
    let files = files();
    match (&options.name, &options.write) {
        (Some(name), _) => print(&find(&files, name)?.text)?,
        (None, Some(folder)) => write(folder, &files)?,
        (None, None) => print(&names(&files, "\n"))?,
    }
    Ok(Finished::Well)
}

fn find<'a>(files: &'a [SchemaFile], name: &str) -> Result<&'a SchemaFile, CliError> {
    files.iter().find(|file| file.name == name).ok_or_else(|| {
        CliError::refused(format!("there is no schema '{name}'; there is: {}", names(files, ", ").trim_end()))
    })
}

fn names(files: &[SchemaFile], between: &str) -> String {
    files.iter().map(|file| file.name).collect::<Vec<_>>().join(between) + "\n"
}

fn write(folder: &Path, files: &[SchemaFile]) -> Result<(), CliError> {
    let failed =
        |error| CliError::refused(format!("writing schemas into '{}' failed: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    for file in files {
        std::fs::write(folder.join(&file.file_name), &file.text).map_err(failed)?;
    }
    say(format_args!("{} files written into '{}'", files.len(), folder.display()));
    Ok(())
}
