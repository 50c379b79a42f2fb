//! `import` and `migrate`: definitions into the store.

use super::arguments::{ImportOptions, Layers};
use super::error::{CliError, Finished, chain};
use super::terminal::say;
use super::wiring::Definitions;
use crate::adapters::ScenarioTexts;
use crate::store::files::{SourceFile, Surroundings, parse_in};
use crate::store::{Changes, ImportError, ImportMode};

/// Loads definition files: all of them, or nothing.
pub(super) async fn run(layers: &Layers, options: ImportOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let files: Result<Vec<SourceFile>, _> = options.files.iter().map(|path| SourceFile::read(path)).collect();
    let files = files.map_err(|error| CliError::refused(chain(&error)))?;
    let surroundings = Surroundings { texts: Some(&ScenarioTexts), max_turns: Some(settings.run.max_turns) };
    let documents =
        parse_in(&files, &|name| std::env::var(name).ok(), surroundings).map_err(CliError::refused)?;
    let definitions = Definitions::open(&settings).await?;
    let mode = ImportMode { prune: options.prune };
    let imported = definitions.store.import(&documents, mode, definitions.targets.as_ref()).await;
    let report = imported.map_err(|error| match error {
        ImportError::Invalid(problems) => CliError::refused(problems),
        ImportError::Store(error) => CliError::out_of_reach(&error),
    })?;
    let Changes { created, updated, unchanged, removed } = report.total();
    say(format_args!("{created} created, {updated} updated, {unchanged} unchanged, {removed} removed"));
    Ok(Finished::Well)
}

/// Creates or updates the store's tables.
pub(super) async fn migrate(layers: &Layers) -> Result<Finished, CliError> {
    Definitions::open(&layers.settings()?).await?;
    say("the store's tables are up to date");
    Ok(Finished::Well)
}
