//! Why there is no connection, and what to do about it.

use std::error::Error;
use std::io;

use async_nats::{ConnectErrorKind, ServerError};
use rustls::{AlertDescription, CertificateError};

use super::authentication::Identity;
use crate::settings::{NatsSettings, SecretFileError};

/// What to do where the server wants to know who connects, and no setting says so.
const NO_WAY: &str = "no setting says who connects; set one of `nats.credentials_file`, `nats.nkey_seed_file`, `nats.user` with `nats.password_file`, or `nats.token_file`";
/// What to do where the client's certificate is what the server does not like.
const CLIENT_CERTIFICATE: &str = "the server does not take this client's certificate, or wants one; set `nats.tls.cert_file` and `nats.tls.key_file` to one of an authority that it trusts";
/// What to do where who answers does not speak TLS.
const NO_TLS: &str = "who answers speaks no TLS at this point; a server without TLS needs `nats://` and `nats.tls.required = false`, one without `handshake_first` needs `nats.tls.first = false`";
/// What to do where the server's certificate is somebody else's.
const OTHER_NAME: &str =
    "the server's certificate is not for the host in `nats.url`; use a name that it is for";
/// What to do where the server's certificate has run out.
const EXPIRED: &str = "the server's certificate has expired, or this machine's clock is wrong";
/// What to do where somebody is there and says nothing.
const SILENT: &str = "somebody may be there who says nothing, as a server with `handshake_first` does: that needs `nats.tls.first = true`; otherwise check `nats.url`";
/// What to do where nobody is there.
const NOBODY: &str = "check `nats.url`, and that nats-server runs";
/// What to do where the server says why not.
const SERVER_REFUSES: &str = "the server does not take the connection";

/// Why there is no connection. No message repeats a URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot be used.
    #[error("cannot connect to NATS: `{setting}` {problem}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that a setting names cannot be used.
    #[error("cannot connect to NATS")]
    Secret {
        /// The setting, the file, and what is wrong with it.
        #[from]
        source: SecretFileError,
    },
    /// The server does not know who connects.
    #[error("nats-server at {servers} did not let this program in: {advice}")]
    Unauthorized {
        /// Hosts and ports.
        servers: String,
        /// What to do.
        advice: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// There is no TLS that both sides agree to.
    #[error("cannot connect to NATS at {servers} with TLS; {advice}")]
    Tls {
        /// Hosts and ports.
        servers: String,
        /// What to do.
        advice: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Nobody answers at the address, or who answers refuses.
    #[error("cannot connect to NATS at {servers}; {advice}")]
    OutOfReach {
        /// Hosts and ports.
        servers: String,
        /// What to do.
        advice: &'static str,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is too old.
    #[error("nats-server at {servers} is version {found}; 2.11.0 or newer is needed")]
    TooOld {
        /// Hosts and ports.
        servers: String,
        /// Its version.
        found: String,
    },
}

impl ConnectError {
    /// Whether it may go better in a moment: nobody was there, as far as one can tell.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        use ConnectErrorKind::{Dns, Io, TimedOut};
        matches!(self, Self::OutOfReach { source, .. } if matches!(source.kind(), Dns | Io | TimedOut))
    }

    /// Whether a setting, a credential or a certificate has to be corrected before it can go better.
    #[must_use]
    pub fn is_for_the_settings(&self) -> bool {
        match self {
            Self::Setting { .. } | Self::Secret { .. } | Self::Unauthorized { .. } | Self::Tls { .. } => true,
            Self::OutOfReach { .. } | Self::TooOld { .. } => false,
        }
    }
}

/// What the client library's `source` means, for who connects as `identity`.
pub(super) fn explain(
    servers: String,
    source: async_nats::ConnectError,
    identity: &Identity,
    settings: &NatsSettings,
) -> ConnectError {
    use ConnectErrorKind::{Authentication, AuthorizationViolation, Tls};
    if let Some(error) = tls_error(&source) {
        let advice = tls_advice(error, settings);
        return ConnectError::Tls { servers, advice, source };
    }
    match source.kind() {
        Authentication | AuthorizationViolation => {
            let advice = authentication_advice(identity);
            ConnectError::Unauthorized { servers, advice, source }
        }
        Tls => ConnectError::Tls { servers, advice: "check `nats.tls`".to_owned(), source },
        _ => ConnectError::OutOfReach { servers, advice: absence_advice(&source, settings), source },
    }
}

/// The system says where nobody is. Who is there and ends the connection, or lets time go by, leaves no such error.
fn absence_advice(error: &async_nats::ConnectError, settings: &NatsSettings) -> &'static str {
    match error.source() {
        Some(cause) if cause.is::<ServerError>() => SERVER_REFUSES,
        Some(cause) if cause.is::<io::Error>() => NOBODY,
        _ if settings.tls.first => NOBODY,
        _ => SILENT,
    }
}

fn authentication_advice(identity: &Identity) -> String {
    match (identity.setting(), identity.expired()) {
        (None, _) => NO_WAY.to_owned(),
        (Some(setting), Some(end)) => {
            format!("the user JWT in the file of `{setting}` expired at {end}; renew the file")
        }
        (Some(setting), None) => format!(
            "it does not accept what `{setting}` says; check it, and that the server knows this user and has not revoked it"
        ),
    }
}

fn tls_advice(error: &rustls::Error, settings: &NatsSettings) -> String {
    use CertificateError as Certificate;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::AlertReceived(alert) if is_about_the_client(*alert) => {
            return CLIENT_CERTIFICATE.to_owned();
        }
        rustls::Error::InvalidMessage(_) => return NO_TLS.to_owned(),
        _ => return "check `nats.tls`".to_owned(),
    };
    match certificate {
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => OTHER_NAME.to_owned(),
        Certificate::Expired | Certificate::ExpiredContext { .. } => EXPIRED.to_owned(),
        _ => match &settings.tls.ca_file {
            None => "no authority that this machine trusts issued the server's certificate; name the file of the one that did in `nats.tls.ca_file`".to_owned(),
            Some(file) => format!(
                "no authority in `nats.tls.ca_file` ({}) issued the server's certificate; name the file of the one that did",
                file.display()
            ),
        },
    }
}

fn is_about_the_client(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
    )
}

/// What TLS says, however deep in `error`. An I/O error does not count what it holds among its causes.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}
