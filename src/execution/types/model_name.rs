//! `provider/model`.

use std::fmt;

use crate::definitions::ProviderKind;

/// A model's full name: which provider, and which of its models.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelName {
    /// The provider's id in the project.
    pub provider: String,
    /// The model's name there; it may contain slashes itself.
    pub model: String,
}

/// Who serves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    /// The API that it speaks.
    pub kind: ProviderKind,
    /// Its host, where it is behind a network.
    pub host: Option<String>,
    /// The port there.
    pub port: Option<u16>,
}

/// A model name that is not `provider/model`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid model format '{0}' - expected 'provider/model' format (e.g., 'openai/gpt-5-mini')")]
pub struct InvalidModelName(pub String);

impl ModelName {
    /// Splits a full name at its first slash.
    ///
    /// # Errors
    /// [`InvalidModelName`] if there is no slash or nothing on one of its sides.
    pub fn parse(text: &str) -> Result<Self, InvalidModelName> {
        match text.split_once('/') {
            Some((provider, model)) if !provider.trim().is_empty() && !model.trim().is_empty() => {
                Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
            }
            _ => Err(InvalidModelName(text.to_owned())),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_have_slashes_but_needs_a_provider() {
        let name = ModelName::parse("router/meta/llama").unwrap();
        assert_eq!((name.provider.as_str(), name.model.as_str()), ("router", "meta/llama"));
        for bad in ["gpt-5", "/gpt-5", "openai/", "", "/"] {
            let error = ModelName::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("Invalid model format '{bad}'")), "{error}");
        }
    }
}
