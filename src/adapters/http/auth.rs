//! How a request proves where it comes from.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::definition::{AuthDefinition, ClientAuthDefinition};
use super::templates::{header_name, parse_url};
use crate::adapters::template::{Place, SecretText, UnknownSecret};
use crate::definitions::{Secret, Secrets};

/// One way of authenticating, with its fields.
pub(super) enum Auth {
    None,
    Bearer(Field),
    ApiKey(HeaderName, Field),
    Basic(Field, Field),
    OAuth2(Box<ClientCredentials>),
}

/// A field that may name secrets.
pub(super) struct Field {
    name: &'static str,
    text: SecretText,
}

/// What an OAuth 2.0 token is fetched for.
pub(super) struct ClientCredentials {
    pub(super) token_url: Field,
    pub(super) id: Field,
    pub(super) secret: Field,
    pub(super) scope: Option<Field>,
    pub(super) audience: Option<Field>,
    pub(super) style: ClientAuthDefinition,
}

impl Field {
    fn new(name: &'static str, text: &str) -> Self {
        Self { name, text: SecretText::new(text) }
    }

    /// What it says, secrets and all.
    pub(super) fn text(&self) -> String {
        self.text.text()
    }

    /// What it says where it is a URL.
    pub(super) fn url(&self) -> String {
        self.text.url()
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        Place::Auth(self.name)
    }
}

impl ClientCredentials {
    fn fields(&mut self) -> Vec<&mut Field> {
        let Self { token_url, id, secret, scope, audience, .. } = self;
        [token_url, id, secret].into_iter().chain(scope).chain(audience).collect()
    }

    /// As `Authorization: Basic` has them: each form-urlencoded first (RFC 6749, section 2.3.1).
    pub(super) fn basic(&self) -> String {
        let encoded =
            |field: &Field| form_urlencoded::byte_serialize(field.text().as_bytes()).collect::<String>();
        BASE64_STANDARD.encode(format!("{}:{}", encoded(&self.id), encoded(&self.secret)))
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
            oauth2 @ AuthDefinition::OAuth2 { .. } => Self::OAuth2(Box::new(client_credentials(oauth2)?)),
        })
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        let fields = match self {
            Self::None => vec![],
            Self::Bearer(field) | Self::ApiKey(_, field) => vec![field],
            Self::Basic(username, password) => vec![username, password],
            Self::OAuth2(credentials) => credentials.fields(),
        };
        fields.into_iter().try_for_each(|field| {
            let resolved = field.text.resolve(secrets);
            resolved.map_err(|name| UnknownSecret { place: Place::Auth(field.name), name })
        })
    }

    /// The header that it adds, if any. One that needs a token has none before that is fetched.
    pub(super) fn header(&self) -> Option<(HeaderName, Secret)> {
        match self {
            Self::None | Self::OAuth2(_) => None,
            Self::Bearer(token) => Some(bearer(&token.text())),
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
            Self::OAuth2(credentials) => vec![credentials.secret.text(), credentials.basic()],
        };
        fields.into_iter().chain(self.basic()).map(Secret::new).collect()
    }

    fn basic(&self) -> Option<String> {
        let Self::Basic(username, password) = self else { return None };
        Some(BASE64_STANDARD.encode(format!("{}:{}", username.text.text(), password.text.text())))
    }
}

/// The header that shows `token`.
pub(super) fn bearer(token: &str) -> (HeaderName, Secret) {
    (AUTHORIZATION, Secret::new(format!("Bearer {token}")))
}

fn client_credentials(definition: &AuthDefinition) -> Result<ClientCredentials, String> {
    let AuthDefinition::OAuth2 { token_url, client_id, client_secret, scope, audience, auth_style } =
        definition
    else {
        return Err("auth.type: it is not oauth2".to_owned());
    };
    let token_url = Field::new("tokenUrl", token_url.trim());
    if token_url.text.is_plain() {
        parse_url(&token_url.place(), &token_url.url())?;
    }
    Ok(ClientCredentials {
        token_url,
        id: Field::new("clientId", client_id),
        secret: Field::new("clientSecret", client_secret.expose()),
        scope: scope.as_ref().map(|scope| Field::new("scope", scope)),
        audience: audience.as_ref().map(|audience| Field::new("audience", audience)),
        style: *auth_style,
    })
}
