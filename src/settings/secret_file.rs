//! Secrets that are settings, or lie in files that settings name, as Kubernetes mounts them.

use std::path::{Path, PathBuf};

use crate::definitions::Secret;

/// A file that holds no secret that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is not there, is none, or may not be read.
    #[error("`{setting}` is {}, which cannot be read", .path.display())]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nothing is in it.
    #[error("`{setting}` is {}, which is empty", .path.display())]
    Empty {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a setting.
    Given {
        /// The setting.
        setting: &'static str,
        /// The secret.
        secret: Secret,
    },
    /// In a file, which may have another one later.
    File {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl SecretSource {
    /// By two settings of which one may be set.
    pub(super) fn of(
        given: &'static str,
        secret: Option<&Secret>,
        named: &'static str,
        path: Option<&PathBuf>,
    ) -> Option<Self> {
        let file = |path: &PathBuf| Self::File { setting: named, path: path.clone() };
        let given = |secret: &Secret| Self::Given { setting: given, secret: secret.clone() };
        secret.map(given).or_else(|| path.map(file))
    }

    /// The setting that says where it is.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Given { setting, .. } | Self::File { setting, .. } => setting,
        }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    /// [`SecretFileError`] if it is in a file that cannot be read, or that is empty.
    pub fn read(&self) -> Result<Secret, SecretFileError> {
        match self {
            Self::Given { secret, .. } => Ok(secret.clone()),
            Self::File { setting, path } => read_secret(setting, path),
        }
    }
}

/// The text of a file without the ends of lines behind it, which editors leave there.
///
/// # Errors
/// [`SecretFileError`] if the file cannot be read as text, or is empty.
pub fn read_secret(setting: &'static str, path: &Path) -> Result<Secret, SecretFileError> {
    let path = path.to_path_buf();
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(SecretFileError::Empty { setting, path }),
        Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(source) => Err(SecretFileError::Unreadable { setting, path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, SecretFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read_secret("nats.token_file", file.path())
    }

    #[test]
    fn ends_of_lines_are_no_part_of_a_secret_and_spaces_are() {
        for content in ["hunter2", "hunter2\n", "hunter2\r\n", "hunter2\n\n"] {
            assert_eq!(read(content.as_bytes()).unwrap().expose(), "hunter2", "{content:?}");
        }
        assert_eq!(read(b" hunter 2 \n").unwrap().expose(), " hunter 2 ");
    }

    #[test]
    fn a_file_without_a_secret_is_refused_by_setting_path_and_cause() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("token");
        let error = read_secret("nats.token_file", &missing).unwrap_err().to_string();
        assert!(error.contains("`nats.token_file`") && error.contains(missing.to_str().unwrap()), "{error}");
        assert!(read_secret("nats.token_file", folder.path()).is_err(), "a folder is no file");
        assert!(read(b"\n").unwrap_err().to_string().ends_with("which is empty"));
        assert!(read(b"\xff\xfe").is_err(), "no text");
    }
}
