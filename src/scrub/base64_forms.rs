//! How a text looks within base64.
//!
//! Three bytes are four characters, so a text looks in one of three ways, by where in its three bytes it begins. The
//! characters at its ends also stand for a part of its neighbours, and are not known.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes that become one group of characters.
const GROUP_BYTES: usize = 3;
/// Bits of one character.
const CHARACTER_BITS: usize = 6;
/// Characters of a group: at most as many on each side of a text stand for a part of it.
const GROUP_CHARACTERS: usize = 4;

/// What base64 of any text that contains `secret` contains, by both alphabets.
pub(super) fn of(secret: &[u8]) -> Vec<Vec<u8>> {
    (0..GROUP_BYTES)
        .flat_map(|before| [within(secret, before, true), within(secret, before, false)])
        .collect()
}

/// The characters that stand for nothing but `secret` where `before` bytes of its first group are others.
fn within(secret: &[u8], before: usize, standard: bool) -> Vec<u8> {
    let bytes = [&[0; GROUP_BYTES][..before], secret].concat();
    let text = if standard { STANDARD_NO_PAD.encode(&bytes) } else { URL_SAFE_NO_PAD.encode(&bytes) };
    let first = (before * u8::BITS as usize).div_ceil(CHARACTER_BITS);
    let end = bytes.len() * u8::BITS as usize / CHARACTER_BITS;
    text.as_bytes()[first..end].to_vec()
}

/// `found` with the characters around it that may hold a part of the secret.
pub(super) fn around(text: &[u8], found: Range<usize>) -> Range<usize> {
    let before = text[..found.start].iter().rev().take(GROUP_CHARACTERS).take_while(|byte| is_base64(**byte));
    let behind = text[found.end..].iter().take(GROUP_CHARACTERS).take_while(|byte| is_base64(**byte));
    found.start - before.count()..found.end + behind.count()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}
