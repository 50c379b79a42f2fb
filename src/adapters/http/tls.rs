//! Certificates of an agent's own, as a definition has them.

use super::definition::TlsDefinition;
use crate::adapters::template::{Place, SecretText, UnknownSecret};
use crate::definitions::{Secret, Secrets};
use crate::egress::TlsMaterial;

/// The fields, each of which may name secrets.
pub(super) struct Tls {
    authorities: Option<SecretText>,
    /// Certificate and key.
    identity: Option<(SecretText, SecretText)>,
    server_name: Option<SecretText>,
}

impl Tls {
    /// Reads the fields. What names no secret is checked at once.
    pub(super) fn read(definition: &TlsDefinition) -> Result<Self, String> {
        let text = |field: &Option<Secret>| field.as_ref().map(|field| SecretText::new(field.expose()));
        let identity = match (text(&definition.client_certificate), text(&definition.client_key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("tls: clientCertificate and clientKey belong together".to_owned()),
        };
        let tls = Self {
            authorities: text(&definition.ca_certificate),
            identity,
            server_name: definition.server_name.as_deref().map(SecretText::new),
        };
        if tls.texts().all(SecretText::is_plain) {
            tls.material().config().map_err(|error| format!("tls: {error}"))?;
        }
        Ok(tls)
    }

    fn texts(&self) -> impl Iterator<Item = &SecretText> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.authorities.iter().chain(&self.server_name).chain(identity)
    }

    /// Makes every `{{ secrets.NAME }}` stand for its value.
    pub(super) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        let identity = self.identity.iter_mut();
        let identity = identity.flat_map(|(own, key)| [("clientCertificate", own), ("clientKey", key)]);
        let authorities = self.authorities.iter_mut().map(|text| ("caCertificate", text));
        let name = self.server_name.iter_mut().map(|text| ("serverName", text));
        for (field, text) in authorities.chain(name).chain(identity) {
            let unknown = |name| UnknownSecret { place: Place::Tls(field), name };
            text.resolve(secrets).map_err(unknown)?;
        }
        Ok(())
    }

    /// The certificates, secrets and all.
    pub(super) fn material(&self) -> TlsMaterial {
        let secret = |text: &SecretText| Secret::new(text.text());
        TlsMaterial {
            authorities: self.authorities.as_ref().map(secret),
            identity: self.identity.as_ref().map(|(certificate, key)| (secret(certificate), secret(key))),
            server_name: self.server_name.as_ref().map(SecretText::text),
        }
    }
}
