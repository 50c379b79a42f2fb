//! A NATS operator with one account, whose users have JWTs (ADR-14).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// Until when what was issued is revoked, in seconds since 1970: far in the future, so all of it.
const REVOKED_UNTIL: i64 = 4_000_000_000;

/// An operator, an account and the system's account.
pub(crate) struct Operator {
    key: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

/// A user of the account.
pub(crate) struct User {
    key: KeyPair,
    jwt: String,
}

impl Operator {
    pub(crate) fn new() -> Self {
        let (key, account, system) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        Self { key, account, system }
    }

    /// A user; `more` goes into the claims.
    pub(crate) fn user(&self, more: &Value) -> User {
        let key = KeyPair::new_user();
        let nats = json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
        let jwt = signed(&self.account, &key, &nats, more);
        User { key, jwt }
    }

    /// What a server needs to know of all of them, but for those who are `revoked`.
    pub(crate) fn configuration(&self, revoked: &[&User]) -> String {
        let revocations: serde_json::Map<_, _> =
            revoked.iter().map(|user| (user.key.public_key(), REVOKED_UNTIL.into())).collect();
        let operator = signed(&self.key, &self.key, &json!({ "type": "operator", "version": 2 }), &json!({}));
        let account = signed(&self.key, &self.account, &account(&revocations.into()), &json!({}));
        let system = signed(&self.key, &self.system, &account_without_jetstream(), &json!({}));
        let (name, system_name) = (self.account.public_key(), self.system.public_key());
        format!(
            "operator: {operator}\nresolver: MEMORY\nsystem_account: {system_name}\n\
             resolver_preload: {{ {name}: {account}\n {system_name}: {system} }}\n"
        )
    }
}

impl User {
    /// The credentials file, as `nsc` writes it.
    pub(crate) fn credentials(&self) -> String {
        let (jwt, seed) = (&self.jwt, self.seed());
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    /// The secret part.
    pub(crate) fn seed(&self) -> String {
        self.key.seed().unwrap()
    }
}

fn account(revocations: &Value) -> Value {
    let mut claims = account_without_jetstream();
    let jetstream = json!({ "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "max_ack_pending": -1 });
    claims["limits"].as_object_mut().unwrap().extend(jetstream.as_object().unwrap().clone());
    claims["revocations"] = revocations.clone();
    claims
}

fn account_without_jetstream() -> Value {
    json!({
        "type": "account", "version": 2, "default_permissions": { "pub": {}, "sub": {} },
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1
        }
    })
}

fn signed(issuer: &KeyPair, subject: &KeyPair, nats: &Value, more: &Value) -> String {
    let mut claims = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": nats
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = parts.join(".");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}
