//! `import` and `migrate`: definitions into the store.

use serde::Serialize;

use super::arguments::{ImportOptions, Layers, SaidOptions};
use super::error::{CliError, Finished, chain};
use super::terminal::{emit, say};
use super::wiring::{self, Definitions};
use crate::adapters::ScenarioTexts;
use crate::settings::Settings;
use crate::store::files::{ParsedDocument, SourceFile, Surroundings, parse_in};
use crate::store::{Changes, ImportError, ImportMode, ImportReport};

/// What is said where credentials were imported without a key.
const NOT_SEALED: &str = "credentials lie in the store in the clear: `scenario-worker keys generate` makes a key for \
                          `store.encryption_keys_file`, and `scenario-worker migrate` then seals them";

fn tell(report: &ImportReport, json: bool) -> Result<(), CliError> {
    let total = report.total();
    if json {
        emit(&Imported { total, definitions: report })?;
    }
    let Changes { created, updated, unchanged, removed } = total;
    say(format_args!("{created} created, {updated} updated, {unchanged} unchanged, {removed} removed"));
    Ok(())
}

/// What is printed for programs of an import.
#[derive(Serialize)]
struct Imported<'a> {
    #[serde(flatten)]
    total: Changes,
    /// The same by kind.
    definitions: &'a ImportReport,
}

/// What is printed for programs of a migration.
#[derive(Serialize)]
struct Migrated {
    migrated: bool,
    /// Definitions that were sealed with the first key.
    sealed: usize,
}

/// Loads definition files: all of them, or nothing.
pub(super) async fn run(layers: &Layers, options: ImportOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let documents = documents(&options, &settings)?;
    let definitions = Definitions::open(&settings).await?;
    let mode = ImportMode { prune: options.prune };
    let imported = definitions.store.import(&documents, mode, definitions.targets.as_ref()).await;
    let report = imported.map_err(|error| match error {
        ImportError::Invalid(problems) => CliError::refused(problems),
        ImportError::Store(error) => wiring::unusable(&error),
    })?;
    tell(&report, options.json)?;
    if !definitions.store.seals() && documents.iter().any(|parsed| parsed.document().has_credentials()) {
        say(NOT_SEALED);
    }
    Ok(Finished::Well)
}

fn documents(options: &ImportOptions, settings: &Settings) -> Result<Vec<ParsedDocument>, CliError> {
    let files: Result<Vec<SourceFile>, _> = options.files.iter().map(|path| SourceFile::read(path)).collect();
    let files = files.map_err(|error| CliError::refused(chain(&error)))?;
    let surroundings = Surroundings { texts: Some(&ScenarioTexts), max_turns: Some(settings.run.max_turns) };
    parse_in(&files, &|name| std::env::var(name).ok(), surroundings).map_err(CliError::refused)
}

/// Creates or updates the store's tables, and seals what is not sealed with the first key.
pub(super) async fn migrate(layers: &Layers, options: &SaidOptions) -> Result<Finished, CliError> {
    let store = Definitions::open(&layers.settings()?).await?.store;
    let sealed = store.reseal().await.map_err(|error| wiring::unusable(&error))?;
    if options.json {
        emit(&Migrated { migrated: true, sealed })?;
    }
    say("the store's tables are up to date");
    if sealed > 0 {
        say(format_args!("{sealed} definitions were sealed with the first key"));
    }
    Ok(Finished::Well)
}
