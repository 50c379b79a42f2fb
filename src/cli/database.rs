//! Where the database is: in a setting, or in a file that a setting names.

use super::error::{CliError, chain};
use crate::definitions::Secret;
use crate::settings::{StoreSettings, read_secret, store_url_problem};

/// The setting that names the file.
const URL_FILE: &str = "store.url_file";

/// How the store is to be opened, wherever its URL is.
pub(super) fn database(settings: &StoreSettings) -> Result<StoreSettings, CliError> {
    let url = store_url(settings)?.expose().to_owned();
    Ok(StoreSettings { url, ..settings.clone() })
}

/// The URL of the store, which may hold a password.
fn store_url(settings: &StoreSettings) -> Result<Secret, CliError> {
    let Some(file) = &settings.url_file else { return Ok(Secret::new(settings.url.clone())) };
    let text = read_secret(URL_FILE, file).map_err(|error| CliError::refused(chain(&error)))?;
    let url = text.expose().trim();
    match store_url_problem(URL_FILE, url) {
        None => Ok(Secret::new(url)),
        Some(problem) => Err(CliError::refused(format!("the file {}: {problem}", file.display()))),
    }
}
