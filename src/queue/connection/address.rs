//! `nats.url` taken apart: where to connect, and as whom.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use url::Url;

use super::ConnectError;
use crate::definitions::Secret;

/// The scheme of servers that are not spoken to without TLS.
const TLS_SCHEME: &str = "tls";

/// Who connects, as far as the URL says it.
pub(super) enum Credentials {
    /// It does not.
    None,
    /// A token.
    Token(Secret),
    /// A user and a password.
    User(String, Secret),
}

/// Servers, and who connects.
pub(super) struct Address {
    /// The servers, without credentials.
    pub(super) servers: Vec<String>,
    /// Those of the first server that has some are used for all: the client knows one identity.
    pub(super) credentials: Credentials,
    /// Whether one of the servers is to be spoken to with TLS; then all are, those that they tell of included.
    pub(super) wants_tls: bool,
}

impl Address {
    pub(super) fn parse(urls: &str) -> Result<Self, ConnectError> {
        let mut address = Self { servers: Vec::new(), credentials: Credentials::None, wants_tls: false };
        for url in urls.split(',') {
            let mut url = Url::parse(url.trim())
                .map_err(|error| problem(format!("has a part that is no URL: {error}")))?;
            if matches!(address.credentials, Credentials::None) {
                address.credentials = Credentials::of(&url);
            }
            url.set_username("")
                .and_then(|()| url.set_password(None))
                .map_err(|()| problem("has a part that names no host".to_owned()))?;
            address.wants_tls |= url.scheme() == TLS_SCHEME;
            address.servers.push(url.to_string());
        }
        Ok(address)
    }

    pub(super) fn to_servers(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        let parse = |server: &String| server.parse().map_err(|e| problem(format!("cannot be used: {e}")));
        self.servers.iter().map(parse).collect()
    }
}

impl Credentials {
    fn of(url: &Url) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match (decode(url.username()), url.password().map(decode)) {
            (user, _) if user.is_empty() => Self::None,
            (token, None) => Self::Token(Secret::new(token)),
            (user, Some(password)) => Self::User(user, Secret::new(password)),
        }
    }
}

fn problem(problem: String) -> ConnectError {
    ConnectError::Setting { setting: "nats.url", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_addresses() {
        let address = Address::parse("nats://me:p%40ss@a:4222, nats://b:4223").unwrap();
        assert_eq!(address.servers, ["nats://a:4222", "nats://b:4223"]);
        assert!(!address.wants_tls);
        match address.credentials {
            Credentials::User(user, password) => {
                assert_eq!((user.as_str(), password.expose()), ("me", "p@ss"));
            }
            _ => panic!("the credentials were lost"),
        }
    }

    #[test]
    fn one_server_that_wants_tls_is_enough() {
        assert!(Address::parse("nats://a:4222,tls://b:4222").unwrap().wants_tls);
    }
}
