//! `keys`: what seals credentials in the store, and where it is from.

use super::arguments::{KeysAction, KeysOptions};
use super::error::{CliError, Finished};
use super::terminal::print;
use crate::settings::StoreSettings;
use crate::store::Keyring;

/// Prints a new key. It is the one command that shows a secret: nobody has it yet.
pub(super) fn run(options: &KeysOptions) -> Result<Finished, CliError> {
    match options.action {
        KeysAction::Generate => {
            let key = Keyring::generate().map_err(CliError::refused)?;
            print(&format!("{}\n", key.expose()))?;
        }
    }
    Ok(Finished::Well)
}

/// The keys of the settings; none where none are set.
pub(super) fn keyring(settings: &StoreSettings) -> Result<Keyring, CliError> {
    let (place, text) = match (&settings.encryption_keys, &settings.encryption_keys_file) {
        (Some(keys), _) => ("`store.encryption_keys`".to_owned(), keys.expose().to_owned()),
        (None, Some(file)) => {
            let place = format!("`store.encryption_keys_file` is {}", file.display());
            let text = std::fs::read_to_string(file)
                .map_err(|error| CliError::refused(format!("{place}, which cannot be read: {error}")))?;
            (place, text)
        }
        (None, None) => return Ok(Keyring::default()),
    };
    Keyring::parse(&text).map_err(|error| CliError::refused(format!("{place}: {error}")))
}
