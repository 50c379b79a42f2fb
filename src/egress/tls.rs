//! Certificates of a destination's own: whom to trust beside the usual authorities, and how to prove who calls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest as _, Sha256};

use crate::definitions::Secret;

/// Protocols that are offered, the best first, as the usual client does.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificates, each as PEM. Whatever is left out is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsMaterial {
    /// Authorities that are trusted beside those of the machine.
    pub authorities: Option<Secret>,
    /// The certificate, with those between it and its authority, and the key that prove who calls.
    pub identity: Option<(Secret, Secret)>,
    /// The name that the server's certificate has to be for, instead of the URL's host.
    pub server_name: Option<String>,
}

/// Certificates that cannot be used. Nothing of a key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate of an authority.
    #[error("the authority's certificate is not a certificate in PEM form")]
    Authorities,
    /// There is no certificate of the client.
    #[error("the client's certificate is not a certificate in PEM form")]
    Certificate,
    /// There is no key.
    #[error("the client's key is not a private key in PEM form")]
    Key,
    /// The name is none.
    #[error("'{0}' is no name that a certificate can be for")]
    ServerName(String),
    /// They do not fit together, or are of a kind that is not known.
    #[error("the certificates cannot be used: {0}")]
    Unusable(String),
}

impl TlsMaterial {
    /// Stands for the material where it is only to be told apart.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let Self { authorities, identity, server_name } = self;
        let (certificate, key) = identity.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
        let secrets = [authorities.as_ref(), certificate, key].map(|part| part.map(Secret::expose));
        let mut hasher = Sha256::new();
        for part in secrets.into_iter().chain([server_name.as_deref()]) {
            // A length before each part, so that no two materials run into each other.
            hasher.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hasher.update(part.unwrap_or_default());
        }
        hasher.finalize().into()
    }

    /// How connections are to be made.
    ///
    /// # Errors
    /// [`TlsError`] if something of it cannot be used.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate).ok_or(TlsError::Certificate)?;
                let key =
                    PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| TlsError::Key)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
            }
        };
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let own = self.authorities.as_ref().map(|pem| certificates(pem).ok_or(TlsError::Authorities));
        let own = own.transpose()?.unwrap_or_default();
        let usual = Verifier::new_with_extra_roots(own, provider).map_err(|error| unusable(&error))?;
        let Some(name) = &self.server_name else { return Ok(Arc::new(usual)) };
        let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()))?;
        Ok(Arc::new(ForName { usual, name }))
    }
}

fn unusable(error: &Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}

/// All certificates of a PEM text; `None` if there is none, or one that cannot be read.
fn certificates(pem: &Secret) -> Option<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty())
}

/// Trusts whom the usual verifier trusts, for one name only.
#[derive(Debug)]
struct ForName {
    usual: Verifier,
    name: ServerName<'static>,
}

impl ServerCertVerifier for ForName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.usual.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
