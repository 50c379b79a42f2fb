//! Undoing the encodings of texts, loosely: what is no escape stays as it is.

use std::ops::Range;

/// The most hexadecimal digits of an escape in braces.
const MOST_BRACED_DIGITS: usize = 6;
/// The longest reference to a character that is looked for, in bytes: `&#x10FFFF;`.
const LONGEST_REFERENCE: usize = 10;
/// The longest escape, in bytes: two halves of a character, `\ud83d\ude00`.
const LONGEST_ESCAPE: usize = 12;

/// A text without its escapes.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Behind each escape: how far it is decoded, and how far the text goes that was read for that.
    marks: Vec<(usize, usize)>,
}

impl Decoded {
    /// Where in the text the bytes at `range` are from.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        self.place(range.start)..self.place(range.end)
    }

    fn place(&self, decoded: usize) -> usize {
        let behind = self.marks.partition_point(|(end, _)| *end <= decoded);
        let (end, read) = behind.checked_sub(1).map_or((0, 0), |last| self.marks[last]);
        read + (decoded - end)
    }
}

/// Encodings that are undone already, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Layers {
    last: Option<usize>,
    repeated: u32,
    kinds: u32,
}

impl Layers {
    /// The text is as it came.
    pub(super) const NONE: Self = Self { last: None, repeated: 0, kinds: 0 };
    /// How many of one encoding after the other are undone: JSON within JSON, which is within HTML.
    const MOST_KINDS: u32 = 2;

    /// The same with the encoding number `index` undone next, if that is still looked at.
    fn with(self, index: usize) -> Option<Self> {
        let again = self.last == Some(index);
        let (repeated, kinds) = if again { (self.repeated + 1, self.kinds) } else { (1, self.kinds + 1) };
        let known = repeated <= ENCODINGS[index].most_layers && kinds <= Self::MOST_KINDS;
        known.then_some(Self { last: Some(index), repeated, kinds })
    }
}

/// How one encoding writes a character that it cannot write as it is.
struct Encoding {
    /// What an escape begins with.
    mark: u8,
    /// The character of the escape with which a text begins, and the escape's length.
    read: fn(&[u8]) -> Option<(char, usize)>,
    /// Whether a plus stands for a blank.
    plus_is_blank: bool,
    /// How often a text may be in it, one within the other. Every layer is one more look at the whole text.
    most_layers: u32,
}

/// Escapes of URLs stand for bytes, which are put together here as characters of one byte.
const ENCODINGS: [Encoding; 3] = [
    Encoding { mark: b'%', read: percent, plus_is_blank: true, most_layers: 3 },
    Encoding { mark: b'\\', read: backslash, plus_is_blank: false, most_layers: 6 },
    Encoding { mark: b'&', read: reference, plus_is_blank: false, most_layers: 2 },
];

/// `text` without the next layer: by each encoding that it has escapes of.
pub(super) fn all(text: &[u8], layers: Layers) -> impl Iterator<Item = (Decoded, Layers)> {
    let encodings = ENCODINGS.iter().enumerate();
    encodings.filter_map(move |(index, encoding)| {
        let layers = layers.with(index)?;
        Some((encoding.decode(text)?, layers))
    })
}

impl Encoding {
    fn decode(&self, text: &[u8]) -> Option<Decoded> {
        let is_escaped = |byte: &u8| *byte == self.mark || (self.plus_is_blank && *byte == b'+');
        let decoded = text.iter().any(is_escaped).then(|| self.decoded(text))?;
        (decoded.bytes != text).then_some(decoded)
    }

    fn decoded(&self, text: &[u8]) -> Decoded {
        let (mut bytes, mut marks, mut at) = (Vec::with_capacity(text.len()), Vec::new(), 0);
        while let Some(byte) = text.get(at) {
            let escape = if *byte == self.mark { (self.read)(&text[at..]) } else { None };
            if let Some((character, length)) = escape {
                self.put(character, &mut bytes);
                at += length;
                marks.push((bytes.len(), at));
            } else {
                bytes.push(if self.plus_is_blank && *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
        Decoded { bytes, marks }
    }

    fn put(&self, character: char, bytes: &mut Vec<u8>) {
        match u8::try_from(character) {
            Ok(byte) if self.mark == b'%' => bytes.push(byte),
            _ => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
}

/// How many bytes at the end of `text` may be a part of an escape.
pub(super) fn broken_off(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(LONGEST_ESCAPE - 1)..];
    let begin = tail.iter().position(|byte| ENCODINGS.iter().any(|encoding| encoding.mark == *byte));
    begin.map_or(0, |begin| tail.len() - begin)
}

fn percent(text: &[u8]) -> Option<(char, usize)> {
    Some((char::from(u8::try_from(hexadecimal(text.get(1..3)?)?).ok()?), 3))
}

/// Escapes of JSON, and those of programs that print texts as they would be written in a program.
fn backslash(text: &[u8]) -> Option<(char, usize)> {
    Some(match text.get(1)? {
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'x' => (char::from(u8::try_from(hexadecimal(text.get(2..4)?)?).ok()?), 4),
        b'u' if text.get(2) == Some(&b'{') => return braced(text),
        b'u' => return code_unit(text),
        other if other.is_ascii_punctuation() => (char::from(*other), 2),
        _ => return None,
    })
}

fn braced(text: &[u8]) -> Option<(char, usize)> {
    let digits = text[3..].iter().take(MOST_BRACED_DIGITS + 1).position(|byte| *byte == b'}')?;
    Some((char::from_u32(hexadecimal(&text[3..3 + digits])?)?, digits + 4))
}

/// A character beyond the first 65536 is two escapes.
fn code_unit(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| u16::try_from(hexadecimal(text.get(at..at + 4)?)?).ok();
    let first = unit(2)?;
    let second = if text.get(6..8) == Some(b"\\u") { unit(8) } else { None };
    let mut characters = char::decode_utf16([Some(first), second].into_iter().flatten());
    let character = characters.next()?.ok()?;
    Some((character, LONGEST_ESCAPE / 2 * character.len_utf16()))
}

fn reference(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(LONGEST_REFERENCE).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let hexadecimal_digits = number.strip_prefix(['x', 'X']);
            char::from_u32(match hexadecimal_digits {
                Some(digits) => hexadecimal(digits.as_bytes())?,
                None => number.parse().ok()?,
            })?
        }
    };
    Some((character, end + 1))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
