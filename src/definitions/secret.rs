//! Values that must not be seen: they print as `[redacted]` and serialize only where that is asked for by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serializer};

/// What stands wherever a secret would be shown.
pub const REDACTED: &str = "[redacted]";

/// A credential or another value that reaches no log, span, event, error or `Debug`.
///
/// It has no `Serialize`: a field that has to be stored names [`Secret::serialize_exposed`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a value into custody.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Writes the value itself. For the store only, as `#[serde(serialize_with = …)]`.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize_exposed<S: Serializer>(secret: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(&secret.0),
            None => serializer.serialize_none(),
        }
    }

    /// Writes all of `secrets` with their values, as [`Secret::serialize_exposed`]. For a run's own process only.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize_all_exposed<S: Serializer>(secrets: &Secrets, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(secrets.iter().map(|(name, secret)| (name, &secret.0)))
    }

    /// Writes that there is a value, and not which, as `#[serde(serialize_with = …)]`.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize_redacted<S: Serializer>(
        secret: &Option<Self>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(_) => serializer.serialize_some(REDACTED),
            None => serializer.serialize_none(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// A project's secrets by name.
pub type Secrets = BTreeMap<String, Secret>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some([redacted])");
    }
}
