//! How a request proves where it comes from.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;

use super::definition::AuthDefinition;
use super::endpoint::header_name;
use crate::adapters::template::{Place, SecretText, UnknownSecret};
use crate::definitions::{Secret, Secrets};

/// One way of authenticating, with its fields.
pub(super) enum Auth {
    None,
    Bearer(Field),
    ApiKey(HeaderName, Field),
    Basic(Field, Field),
}

/// A field that may name secrets.
pub(super) struct Field {
    name: &'static str,
    text: SecretText,
}

impl Field {
    fn new(name: &'static str, text: &str) -> Self {
        Self { name, text: SecretText::new(text) }
    }
}

impl Auth {
    /// Reads the fields.
    pub(super) fn read(definition: &AuthDefinition) -> Result<Self, String> {
        Ok(match definition {
            AuthDefinition::None => Self::None,
            AuthDefinition::Bearer { token } => Self::Bearer(Field::new("token", token.expose())),
            AuthDefinition::ApiKey { header, value } => {
                let header = header_name(header).map_err(|error| format!("auth.header: {error}"))?;
                Self::ApiKey(header, Field::new("value", value.expose()))
            }
            AuthDefinition::Basic { username, password } => {
                Self::Basic(Field::new("username", username), Field::new("password", password.expose()))
            }
        })
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        let fields = match self {
            Self::None => vec![],
            Self::Bearer(field) | Self::ApiKey(_, field) => vec![field],
            Self::Basic(username, password) => vec![username, password],
        };
        fields.into_iter().try_for_each(|field| {
            let resolved = field.text.resolve(secrets);
            resolved.map_err(|name| UnknownSecret { place: Place::Auth(field.name), name })
        })
    }

    /// The header that it adds, if any.
    pub(super) fn header(&self) -> Option<(HeaderName, Secret)> {
        match self {
            Self::None => None,
            Self::Bearer(token) => {
                Some((AUTHORIZATION, Secret::new(format!("Bearer {}", token.text.text()))))
            }
            Self::ApiKey(header, value) => Some((header.clone(), Secret::new(value.text.text()))),
            Self::Basic(..) => self.basic().map(|pair| (AUTHORIZATION, Secret::new(format!("Basic {pair}")))),
        }
    }

    /// What no error may show.
    pub(super) fn credentials(&self) -> Vec<Secret> {
        let fields = match self {
            Self::None => vec![],
            Self::Bearer(field) | Self::ApiKey(_, field) => vec![field.text.text()],
            Self::Basic(_, password) => vec![password.text.text()],
        };
        fields.into_iter().chain(self.basic()).map(Secret::new).collect()
    }

    fn basic(&self) -> Option<String> {
        let Self::Basic(username, password) = self else { return None };
        Some(BASE64_STANDARD.encode(format!("{}:{}", username.text.text(), password.text.text())))
    }
}
