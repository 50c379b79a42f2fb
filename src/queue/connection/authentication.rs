//! How this program proves to the broker who it is.
//!
//! Files are read for each connection: a credential that was renewed is used from the next one on.

use std::path::PathBuf;

use async_nats::Auth;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ConnectError;
use super::address::{Address, Credentials};
use crate::definitions::Secret;
use crate::settings::{NatsSettings, SecretSource, read_secret};

const URL: &str = "nats.url";
const CREDENTIALS_FILE: &str = "nats.credentials_file";
/// What the lines around the parts of a credentials file are made of.
const RULE: &str = "---";
/// How the seed of a user's key begins (nkeys).
const SEED: &str = "SU";
/// What is said of a text that is no seed; the text is not repeated.
const NO_SEED: &str = "holds no seed of a user's NKey, which begins with SU";

/// Who connects.
pub(super) enum Identity {
    /// Nobody in particular; a certificate may say it.
    Nobody,
    /// A user or a token of the URL.
    InUrl(Credentials),
    /// A user's JWT and seed.
    Credentials(PathBuf),
    /// A user's seed.
    Seed(SecretSource),
    /// A user and a password.
    User(String, SecretSource),
    /// A token.
    Token(SecretSource),
}

impl Identity {
    /// Who connects by `settings`, of which no two say so.
    pub(super) fn of(settings: &NatsSettings, address: &Address) -> Self {
        if let Some(file) = &settings.credentials_file {
            return Self::Credentials(file.clone());
        }
        if let Some(seed) = settings.seed() {
            return Self::Seed(seed);
        }
        if let (Some(user), Some(password)) = (&settings.user, settings.password()) {
            return Self::User(user.clone(), password);
        }
        if let Some(token) = settings.token() {
            return Self::Token(token);
        }
        match &address.credentials {
            Credentials::None => Self::Nobody,
            Credentials::Token(token) => Self::InUrl(Credentials::Token(token.clone())),
            Credentials::User(user, password) => {
                Self::InUrl(Credentials::User(user.clone(), password.clone()))
            }
        }
    }

    /// The setting that says who connects; `None` if none does.
    pub(super) fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::InUrl(_) => Some(URL),
            Self::Credentials(_) => Some(CREDENTIALS_FILE),
            Self::Seed(source) | Self::User(_, source) | Self::Token(source) => Some(source.setting()),
        }
    }

    /// Whether there is something to connect with.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        self.prove(&[]).map(drop)
    }

    /// What to say to a server that asks who connects with `nonce`.
    pub(super) fn prove(&self, nonce: &[u8]) -> Result<Auth, ConnectError> {
        match self {
            Self::Nobody | Self::InUrl(Credentials::None) => Ok(Auth::new()),
            Self::InUrl(Credentials::Token(token)) => Ok(with_token(token)),
            Self::InUrl(Credentials::User(user, password)) => Ok(with_password(user, password)),
            Self::User(user, source) => Ok(with_password(user, &source.read()?)),
            Self::Token(source) => Ok(with_token(&source.read()?)),
            Self::Seed(source) => with_seed(source.setting(), &source.read()?, nonce),
            Self::Credentials(file) => with_credentials(&read_secret(CREDENTIALS_FILE, file)?, nonce),
        }
    }

    /// When the user's JWT ended, if it has one that did.
    pub(super) fn expired(&self) -> Option<String> {
        let Self::Credentials(file) = self else { return None };
        let text = read_secret(CREDENTIALS_FILE, file).ok()?;
        let end = end_of(jwt(text.expose()).ok()?)?;
        if end < OffsetDateTime::now_utc() { end.format(&Rfc3339).ok() } else { None }
    }
}

fn with_token(token: &Secret) -> Auth {
    let mut auth = Auth::new();
    auth.token = Some(token.expose().to_owned());
    auth
}

fn with_password(user: &str, password: &Secret) -> Auth {
    let mut auth = Auth::new();
    (auth.username, auth.password) = (Some(user.to_owned()), Some(password.expose().to_owned()));
    auth
}

fn with_seed(setting: &'static str, seed: &Secret, nonce: &[u8]) -> Result<Auth, ConnectError> {
    let (key, mut auth) = (key(setting, seed.expose())?, Auth::new());
    auth.nkey = Some(key.public_key());
    auth.signature = Some(signature(setting, &key, nonce)?);
    Ok(auth)
}

fn with_credentials(file: &Secret, nonce: &[u8]) -> Result<Auth, ConnectError> {
    let (jwt, key) = (jwt(file.expose())?, key(CREDENTIALS_FILE, file.expose())?);
    let mut auth = Auth::new();
    auth.jwt = Some(jwt.to_owned());
    auth.signature = Some(signature(CREDENTIALS_FILE, &key, nonce)?);
    Ok(auth)
}

fn problem(setting: &'static str, problem: &str) -> ConnectError {
    ConnectError::Setting { setting, problem: problem.to_owned() }
}

/// The key whose seed is a line of `text`. What is wrong with it is not said more exactly: that would be a part of it.
fn key(setting: &'static str, text: &str) -> Result<KeyPair, ConnectError> {
    let seed = text.lines().map(str::trim).find(|line| line.starts_with(SEED));
    let key = seed.and_then(|seed| KeyPair::from_seed(seed).ok());
    key.filter(|key| key.key_pair_type() == KeyPairType::User).ok_or_else(|| problem(setting, NO_SEED))
}

fn signature(setting: &'static str, key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, ConnectError> {
    key.sign(nonce).map_err(|_| problem(setting, "holds a seed that cannot sign"))
}

/// The user's JWT of a credentials file: the line between two rules, of which the first one says so.
fn jwt(text: &str) -> Result<&str, ConnectError> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found = lines.windows(3).find_map(|window| match window {
        [begin, jwt, end] if begin.starts_with(RULE) && begin.contains("JWT") && end.starts_with(RULE) => {
            Some(*jwt)
        }
        _ => None,
    });
    found.ok_or_else(|| {
        problem(CREDENTIALS_FILE, "holds no user JWT between lines of dashes; name a file as nsc writes it")
    })
}

/// Until when a JWT is good.
fn end_of(jwt: &str) -> Option<OffsetDateTime> {
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    OffsetDateTime::from_unix_timestamp(claims["exp"].as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(change: impl FnOnce(&mut NatsSettings)) -> Identity {
        let mut settings = NatsSettings::default();
        change(&mut settings);
        Identity::of(&settings, &Address::parse(&settings.url).unwrap())
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn credentials(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n*** IMPORTANT ***\nKeep it.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_file_is_read_each_time() {
        let file = file("first\n");
        let identity = identity(|nats| nats.token_file = Some(file.path().to_owned()));
        assert_eq!(identity.prove(&[]).unwrap().token.as_deref(), Some("first"));
        std::fs::write(file.path(), "second\n").unwrap();
        assert_eq!(identity.prove(&[]).unwrap().token.as_deref(), Some("second"));
    }

    #[test]
    fn a_seed_and_credentials_sign_the_nonce() {
        let user = KeyPair::new_user();
        let seed = user.seed().unwrap();
        let alone = identity(|nats| nats.nkey_seed = Some(Secret::new(seed.clone())));
        let auth = alone.prove(b"nonce").unwrap();
        assert_eq!(auth.nkey, Some(user.public_key()));
        assert_eq!(auth.signature, Some(user.sign(b"nonce").unwrap()));
        let file = file(&credentials("e30.e30.x", &seed));
        let auth =
            identity(|nats| nats.credentials_file = Some(file.path().to_owned())).prove(b"nonce").unwrap();
        assert_eq!((auth.jwt.as_deref(), auth.nkey), (Some("e30.e30.x"), None));
        assert_eq!(auth.signature, Some(user.sign(b"nonce").unwrap()));
    }

    #[test]
    fn what_is_no_credential_is_refused_by_its_setting_and_not_repeated() {
        let account = KeyPair::new_account().seed().unwrap();
        let broken = format!("{SEED}HUNTER2");
        for seed in [account.as_str(), &broken, "hunter2"] {
            let file = file(&credentials("e30.e30.x", seed));
            for identity in [
                identity(|nats| nats.nkey_seed = Some(Secret::new(seed))),
                identity(|nats| nats.credentials_file = Some(file.path().to_owned())),
            ] {
                let error = identity.check().unwrap_err().to_string();
                assert!(error.contains("nats.") && error.contains(NO_SEED), "{error}");
                assert!(!error.contains(seed) && !error.contains("HUNTER2"), "{error}");
            }
        }
        let file = file(&KeyPair::new_user().seed().unwrap());
        let no_jwt = identity(|nats| nats.credentials_file = Some(file.path().to_owned())).check();
        assert!(no_jwt.unwrap_err().to_string().contains("no user JWT"));
    }

    #[test]
    fn a_jwt_that_has_ended_is_found_out() {
        let ends = |exp: &str| {
            let claims = URL_SAFE_NO_PAD.encode(format!("{{{exp}}}"));
            let file = file(&credentials(&format!("e30.{claims}.x"), "SU"));
            identity(|nats| nats.credentials_file = Some(file.path().to_owned())).expired()
        };
        assert_eq!(ends(r#""exp":1000000000"#).as_deref(), Some("2001-09-09T01:46:40Z"));
        assert_eq!((ends(r#""exp":99999999999"#), ends("")), (None, None));
    }
}
