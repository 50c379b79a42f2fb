//! Definitions that hold credentials, sealed before the database sees them.
//!
//! AES-256-GCM with a random nonce; what a document is (kind, project, id) is authenticated with it, so that no sealed
//! document passes for another one. The first key seals, all keys open: a new key is put first, and the old ones are listed
//! behind it until everything is sealed anew.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::Kind;
use crate::definitions::Secret;

/// What a sealed document begins with. JSON begins otherwise, so that documents from before are told apart.
pub(super) const MARK: &str = "sealed:v1:";
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a key's digest by which a sealed document names its key: enough to tell a few keys apart.
const KEY_ID_BYTES: usize = 4;
/// Characters with which a sealed document begins, up to the end of its key's id.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "two dozen characters")]
pub(super) const HEAD_CHARS: i32 = (MARK.len() + 2 * KEY_ID_BYTES) as i32;

/// The keys of a store.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Vec<(String, Arc<LessSafeKey>)>,
}

/// Keys that cannot be used. No text repeats one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// The text with this number, from 1, is no key.
    #[error("key {0} is not the base64 of {KEY_BYTES} bytes; `scenario-worker keys generate` makes one")]
    NotAKey(usize),
    /// There is no key at all.
    #[error("there is no key in it; `scenario-worker keys generate` makes one")]
    None,
}

/// A document could not be sealed: the system gave no random bytes, or the document is too long for the cipher (64 GiB).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be sealed: the system gives no random bytes, or it is too long")]
pub struct SealError;

/// A sealed document that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Its key is not listed.
    #[error(
        "it is sealed with the key {0}, which is listed neither in `store.encryption_keys_file` nor in `store.encryption_keys`"
    )]
    UnknownKey(String),
    /// It was changed, or moved here from elsewhere.
    #[error("it is sealed, and was changed or is not the document that it says it is")]
    Broken,
}

/// What a document is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) kind: Kind,
    pub(super) project: &'a str,
    pub(super) id: &'a str,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' of project '{}'", self.kind, self.id, self.project)
    }
}

impl Keyring {
    /// Reads keys as base64, the one that seals first: blanks, line breaks or commas between them, lines after `#` skipped.
    ///
    /// # Errors
    /// [`InvalidKeys`] with the number of the text that is no key.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let texts = lines.flat_map(|line| line.split([',', ' ', '\t', '\r'])).filter(|text| !text.is_empty());
        let keys = (1..).zip(texts).map(|(number, text)| key(text).ok_or(InvalidKeys::NotAKey(number)));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(InvalidKeys::None) } else { Ok(Self { keys }) }
    }

    /// A new key, as [`Keyring::parse`] reads it.
    ///
    /// # Errors
    /// [`SealError`] if the system gives no random bytes.
    pub fn generate() -> Result<Secret, SealError> {
        Ok(Secret::new(STANDARD.encode(random::<KEY_BYTES>()?)))
    }

    /// Whether there is a key to seal with.
    #[must_use]
    pub fn seals(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether `stored` is as it would be written now.
    pub(super) fn is_current(&self, stored: &str) -> bool {
        key_id(stored) == self.keys.first().map(|(id, _)| id.as_str())
    }

    /// Whether what `stored` begins with names a key of this ring, or none.
    pub(super) fn knows(&self, stored: &str) -> Result<(), UnsealError> {
        key_id(stored).map_or(Ok(()), |id| self.key(id).map(drop))
    }

    /// `document` as it is stored; without keys as it is.
    pub(super) fn seal(&self, label: Label<'_>, document: &str) -> Result<String, SealError> {
        let Some((id, key)) = self.keys.first() else { return Ok(document.to_owned()) };
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut bytes = document.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(label), &mut bytes)
            .map_err(|_| SealError)?;
        Ok(format!("{MARK}{id}:{}", STANDARD.encode([nonce.as_slice(), &bytes].concat())))
    }

    /// The document that was stored as `stored`.
    pub(super) fn open(&self, label: Label<'_>, stored: String) -> Result<String, UnsealError> {
        let Some(sealed) = stored.strip_prefix(MARK) else { return Ok(stored) };
        let (id, text) = sealed.split_once(':').ok_or(UnsealError::Broken)?;
        let key = self.key(id)?;
        let bytes = STANDARD.decode(text).map_err(|_| UnsealError::Broken)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(UnsealError::Broken)?;
        let mut sealed = sealed.to_vec();
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad(label), &mut sealed);
        let opened = opened.map_err(|_| UnsealError::Broken)?;
        String::from_utf8(opened.to_vec()).map_err(|_| UnsealError::Broken)
    }

    fn key(&self, id: &str) -> Result<&LessSafeKey, UnsealError> {
        let key = self.keys.iter().find(|(known, _)| known == id);
        key.map(|(_, key)| key.as_ref()).ok_or_else(|| UnsealError::UnknownKey(id.to_owned()))
    }
}

/// The id of the key that `stored` says it is sealed with.
fn key_id(stored: &str) -> Option<&str> {
    stored.strip_prefix(MARK)?.split(':').next()
}

fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SealError)?;
    Ok(bytes)
}

fn key(text: &str) -> Option<(String, Arc<LessSafeKey>)> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    let id = hex::encode(&Sha256::digest(&bytes)[..KEY_ID_BYTES]);
    let key = UnboundKey::new(&AES_256_GCM, &bytes).ok()?;
    Some((id, Arc::new(LessSafeKey::new(key))))
}

/// Lengths stand before the parts, so that no two labels are the same bytes.
fn aad(Label { kind, project, id }: Label<'_>) -> Aad<Vec<u8>> {
    let parts = [kind.name(), project, id];
    Aad::from(parts.iter().flat_map(|part| [&part.len().to_be_bytes(), part.as_bytes()].concat()).collect())
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"token":"hunter2"}"#;

    fn keys(bytes: &[u8]) -> Keyring {
        let text: Vec<String> = bytes.iter().map(|byte| STANDARD.encode([*byte; KEY_BYTES])).collect();
        Keyring::parse(&format!("# newest first\n\n{}\n", text.join("\n"))).unwrap()
    }

    fn label(id: &str) -> Label<'_> {
        Label { kind: Kind::Agent, project: "acme", id }
    }

    #[test]
    fn what_is_sealed_shows_nothing_and_opens_to_what_it_was() {
        let keys = keys(&[1]);
        let (one, two) = (keys.seal(label("a"), DOCUMENT).unwrap(), keys.seal(label("a"), DOCUMENT).unwrap());
        assert!(!one.contains("hunter2") && !one.contains("token"), "{one}");
        assert_ne!(one, two, "the same text is never sealed to the same bytes");
        assert_eq!(keys.open(label("a"), one).unwrap(), DOCUMENT);
    }

    #[test]
    fn a_sealed_document_passes_for_no_other_one() {
        let keys = keys(&[1]);
        let sealed = keys.seal(label("a"), DOCUMENT).unwrap();
        assert_eq!(keys.open(label("b"), sealed.clone()), Err(UnsealError::Broken));
        let changed = sealed[..sealed.len() - 6].to_owned() + "AAAA==";
        assert_eq!(keys.open(label("a"), changed), Err(UnsealError::Broken));
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let sealed = old.seal(label("a"), DOCUMENT).unwrap();
        assert_eq!(both.open(label("a"), sealed.clone()).unwrap(), DOCUMENT);
        assert!(!both.is_current(&sealed) && both.is_current(&both.seal(label("a"), DOCUMENT).unwrap()));
        assert!(matches!(new.open(label("a"), sealed), Err(UnsealError::UnknownKey(_))));
    }

    #[test]
    fn without_keys_documents_are_kept_as_they_are_and_sealed_ones_say_what_is_missing() {
        let none = Keyring::default();
        assert_eq!(none.seal(label("a"), DOCUMENT).unwrap(), DOCUMENT);
        assert_eq!(keys(&[1]).open(label("a"), DOCUMENT.into()).unwrap(), DOCUMENT, "from before");
        let error = none.open(label("a"), keys(&[1]).seal(label("a"), DOCUMENT).unwrap()).unwrap_err();
        assert!(error.to_string().contains("store.encryption_keys_file"), "{error}");
    }

    #[test]
    fn keys_stand_in_lines_or_behind_commas_and_a_generated_one_is_one() {
        let (one, two) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
        assert_ne!(one, two);
        for between in ["\n", "\r\n", ",", ", ", "\n# the old one\n"] {
            let text = format!(" {}{between}{} ", one.expose(), two.expose());
            assert_eq!(Keyring::parse(&text).unwrap().keys.len(), 2, "{between:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_named_by_its_number_and_not_shown() {
        let good = STANDARD.encode([1; KEY_BYTES]);
        assert_eq!(Keyring::parse(&format!("{good}\nhunter2")).unwrap_err(), InvalidKeys::NotAKey(2));
        assert_eq!(Keyring::parse("# none\n").unwrap_err(), InvalidKeys::None);
        assert!(!format!("{:?}", keys(&[1])).contains(&good));
    }
}
