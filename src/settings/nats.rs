//! The broker: where it is, who connects, and what is asked of it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretSource;
use crate::definitions::Secret;

const URL: &str = "nats://127.0.0.1:4222";
const INBOX_PREFIX: &str = "_INBOX";
const REPLICAS: usize = 1;
/// Beginnings of subjects that mean something: answers that came there would be taken for it.
const TAKEN_PREFIXES: [&str; 2] = ["$", "scenario"];
/// What a token of a subject cannot hold.
const NO_TOKEN: [char; 3] = ['*', '>', '.'];

/// The broker.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsSettings {
    /// Servers, separated by commas.
    pub url: String,
    /// A NATS credentials file: a user's JWT and seed.
    pub credentials_file: Option<PathBuf>,
    /// The seed of a user's `NKey`.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub nkey_seed: Option<Secret>,
    /// A file with such a seed.
    pub nkey_seed_file: Option<PathBuf>,
    /// A user with a password.
    pub user: Option<String>,
    /// The password.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A token.
    #[serde(serialize_with = "Secret::serialize_redacted")]
    pub token: Option<Secret>,
    /// A file with the token.
    pub token_file: Option<PathBuf>,
    /// Certificates.
    pub tls: TlsSettings,
    /// What the subjects begin with on which answers come.
    pub inbox_prefix: String,
    /// The domain whose `JetStream` is used; unset is that of the server itself.
    pub jetstream_domain: Option<String>,
    /// False only checks streams, consumer and bucket.
    pub manage_topology: bool,
    /// Copies of every stream and of the bucket.
    pub replicas: usize,
}

/// Certificates for the broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Refuse a connection without TLS.
    pub required: bool,
    /// Speak TLS from the first byte on, for servers with `handshake_first`.
    pub first: bool,
    /// Certificate authorities, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

impl fmt::Debug for NatsSettings {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSettings").finish_non_exhaustive()
    }
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            url: URL.to_owned(),
            credentials_file: None,
            nkey_seed: None,
            nkey_seed_file: None,
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            tls: TlsSettings::default(),
            inbox_prefix: INBOX_PREFIX.to_owned(),
            jetstream_domain: None,
            manage_topology: true,
            replicas: REPLICAS,
        }
    }
}

impl NatsSettings {
    /// Where the seed of an `NKey` is.
    #[must_use]
    pub fn seed(&self) -> Option<SecretSource> {
        SecretSource::of(
            "nats.nkey_seed",
            self.nkey_seed.as_ref(),
            "nats.nkey_seed_file",
            self.nkey_seed_file.as_ref(),
        )
    }

    /// Where the user's password is.
    #[must_use]
    pub fn password(&self) -> Option<SecretSource> {
        SecretSource::of(
            "nats.password",
            self.password.as_ref(),
            "nats.password_file",
            self.password_file.as_ref(),
        )
    }

    /// Where the token is.
    #[must_use]
    pub fn token(&self) -> Option<SecretSource> {
        SecretSource::of("nats.token", self.token.as_ref(), "nats.token_file", self.token_file.as_ref())
    }

    /// Whether answers come where those of everybody come who says nothing of it.
    #[must_use]
    pub fn has_usual_inbox(&self) -> bool {
        self.inbox_prefix == INBOX_PREFIX
    }

    /// What no connection can be made with, each as a sentence that names the settings.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = self.both_set();
        found.extend(self.several_ways());
        found.extend(self.halves());
        found.extend(self.empty());
        found.extend(self.inbox_problem());
        found.extend(self.domain_problem());
        found
    }

    /// Whoever connects has one identity.
    fn several_ways(&self) -> Option<String> {
        let in_url = self.url.split(',').any(|server| names_a_user(server.trim()));
        let user = self.user.as_ref().map(|_| "nats.user");
        let ways = [
            in_url.then_some("nats.url"),
            self.credentials_file.as_ref().map(|_| "nats.credentials_file"),
            self.seed().map(|source| source.setting()),
            user.or_else(|| self.password().map(|source| source.setting())),
            self.token().map(|source| source.setting()),
        ];
        let ways: Vec<String> = ways.into_iter().flatten().map(|name| format!("`{name}`")).collect();
        let and = if in_url { " (a user or token in the URL is a way, too)" } else { "" };
        (ways.len() > 1)
            .then(|| format!("{} each say who connects{and}; keep one of them", ways.join(" and ")))
    }

    fn both_set(&self) -> Vec<String> {
        let pairs = [
            ("nats.nkey_seed", self.nkey_seed.is_some() && self.nkey_seed_file.is_some()),
            ("nats.password", self.password.is_some() && self.password_file.is_some()),
            ("nats.token", self.token.is_some() && self.token_file.is_some()),
        ];
        let both = pairs.iter().filter(|(_, both)| *both);
        both.map(|(name, _)| format!("`{name}` and `{name}_file` are both set; keep one of them")).collect()
    }

    /// Settings that say nothing without another one.
    fn halves(&self) -> Vec<String> {
        let password = self.password().map(|source| source.setting());
        let mut found = Vec::new();
        match (&self.user, password) {
            (Some(_), None) => found.push(
                "`nats.user` is set, and neither `nats.password` nor `nats.password_file`; set one of them"
                    .to_owned(),
            ),
            (None, Some(password)) => {
                found.push(format!("`{password}` is set, and `nats.user` is not; a password needs both"));
            }
            _ => {}
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            found.push(
                "`nats.tls.cert_file` and `nats.tls.key_file` belong together, and only one is set; a client certificate needs both"
                    .to_owned(),
            );
        }
        found
    }

    fn empty(&self) -> Vec<String> {
        let is_empty =
            |secret: &Option<Secret>| secret.as_ref().is_some_and(|s| s.expose().trim().is_empty());
        let values = [
            ("nats.user", self.user.as_ref().is_some_and(String::is_empty)),
            ("nats.nkey_seed", is_empty(&self.nkey_seed)),
            ("nats.password", is_empty(&self.password)),
            ("nats.token", is_empty(&self.token)),
        ];
        let empty = values.iter().filter(|(_, empty)| *empty);
        empty.map(|(name, _)| format!("`{name}` is empty; leave it out if it is not needed")).collect()
    }

    fn inbox_problem(&self) -> Option<String> {
        let prefix = &self.inbox_prefix;
        let problem = if !prefix.split('.').all(is_token) {
            "it must be the beginning of a subject, without spaces, wildcards or a dot at its end"
        } else if TAKEN_PREFIXES.iter().any(|taken| prefix.starts_with(taken)) {
            "subjects that begin so mean something else"
        } else {
            return None;
        };
        Some(format!("`nats.inbox_prefix` is '{prefix}'; {problem}"))
    }

    fn domain_problem(&self) -> Option<String> {
        let domain = self.jetstream_domain.as_ref().filter(|domain| !is_token(domain))?;
        Some(format!(
            "`nats.jetstream_domain` is '{domain}'; it must be a name without dots, spaces or wildcards"
        ))
    }
}

fn names_a_user(server: &str) -> bool {
    Url::parse(server).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace) && !text.contains(NO_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut NatsSettings)) -> Vec<String> {
        let mut settings = NatsSettings::default();
        change(&mut settings);
        settings.problems()
    }

    fn secret() -> Secret {
        Secret::new("hunter2")
    }

    fn file() -> PathBuf {
        "secret".into()
    }

    type Change = fn(&mut NatsSettings);

    const WAYS: [(&str, Change); 5] = [
        ("nats.url", |nats| nats.url = "nats://a:4222,nats://me:hunter2@b".to_owned()),
        ("nats.credentials_file", |nats| nats.credentials_file = Some(file())),
        ("nats.nkey_seed_file", |nats| nats.nkey_seed_file = Some(file())),
        ("nats.user", |nats| (nats.user, nats.password) = (Some("me".to_owned()), Some(secret()))),
        ("nats.token", |nats| nats.token = Some(secret())),
    ];

    #[test]
    fn each_way_alone_can_be_used_and_two_are_refused_by_their_names() {
        for (first, set_first) in WAYS {
            assert_eq!(problems(set_first), Vec::<String>::new(), "{first}");
            for (second, set_second) in WAYS.into_iter().filter(|(second, _)| *second != first) {
                let found = problems(|nats| {
                    set_first(nats);
                    set_second(nats);
                });
                assert_eq!(found.len(), 1, "{found:?}");
                for part in [first, second, "keep one"] {
                    assert!(found[0].contains(part) && !found[0].contains("hunter2"), "{part}: {found:?}");
                }
            }
        }
    }

    const MISTAKES: [(Change, &[&str]); 8] = [
        (
            |nats| (nats.token, nats.token_file) = (Some(secret()), Some(file())),
            &["`nats.token` and `nats.token_file`"],
        ),
        (
            |nats| (nats.nkey_seed, nats.nkey_seed_file) = (Some(secret()), Some(file())),
            &["`nats.nkey_seed` and `nats.nkey_seed_file`"],
        ),
        (|nats| nats.user = Some("me".to_owned()), &["`nats.user`", "`nats.password_file`"]),
        (|nats| nats.password_file = Some(file()), &["`nats.password_file`", "`nats.user`"]),
        (|nats| nats.token = Some(Secret::new(" ")), &["`nats.token` is empty"]),
        (|nats| nats.tls.key_file = Some(file()), &["`nats.tls.cert_file`", "`nats.tls.key_file`"]),
        (|nats| nats.jetstream_domain = Some("a.b".to_owned()), &["`nats.jetstream_domain` is 'a.b'"]),
        (|nats| nats.inbox_prefix = "scenario.in".to_owned(), &["`nats.inbox_prefix` is 'scenario.in'"]),
    ];

    #[test]
    fn what_is_set_twice_or_by_half_or_empty_is_refused_by_name() {
        for (change, parts) in MISTAKES {
            let found = problems(change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(parts.iter().all(|part| found[0].contains(part)), "{parts:?}: {found:?}");
        }
    }

    #[test]
    fn an_inbox_is_the_beginning_of_a_subject() {
        for good in ["_INBOX_worker", "_INBOX.team", "inbox"] {
            assert!(problems(|nats| good.clone_into(&mut nats.inbox_prefix)).is_empty(), "{good}");
        }
        for bad in ["", "_INBOX.", "_INBOX.>", "a b", "$JS", "a..b"] {
            assert_eq!(problems(|nats| bad.clone_into(&mut nats.inbox_prefix)).len(), 1, "{bad}");
        }
    }
}
