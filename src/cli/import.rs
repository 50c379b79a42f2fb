//! `import` and `migrate`: definitions into the store.

use super::arguments::{ImportOptions, Layers};
use super::error::{CliError, Finished};
use super::terminal::say;
use super::wiring::Definitions;
use crate::store::{ImportMode, parse_files};

/// Loads definition files: all of them, or nothing.
pub(super) async fn run(layers: &Layers, options: ImportOptions) -> Result<Finished, CliError> {
    let settings = layers.settings()?;
    let documents = parse_files(&options.files, &|name| std::env::var(name).ok()).map_err(CliError::refused)?;
    let definitions = Definitions::open(&settings).await?;
    let mode = ImportMode { prune: options.prune };
    let report = definitions.store.import(&documents, mode, definitions.targets.as_ref()).await.map_err(CliError::refused)?;
    say(report);
    Ok(Finished::Well)
}

/// Creates or updates the store's tables.
pub(super) async fn migrate(layers: &Layers) -> Result<Finished, CliError> {
    Definitions::open(&layers.settings()?).await?;
    say("the store's tables are up to date");
    Ok(Finished::Well)
}
