//! The members of `tracestate` (W3C Trace Context Level 2, section 3.3).

/// The most members that a `tracestate` may have (section 3.3.1.1).
const MEMBERS: usize = 32;
/// The longest key, in characters (section 3.3.1.3.1).
const KEY_CHARS: usize = 256;
/// The longest value, in characters (section 3.3.1.3.2).
const VALUE_CHARS: usize = 256;
/// What is passed on of a combined header, in characters: what everybody has to take (section 3.3.1.5).
const PASSED_ON_CHARS: usize = 512;
/// A member longer than this many characters is left out first where there is not room for all (section 3.3.1.5).
const LONG_MEMBER_CHARS: usize = 128;

/// The members of every header in their order, joined by commas; `None` if one of them breaks the grammar, for then none
/// of them counts.
pub(super) fn join(headers: &[&str]) -> Option<String> {
    let members: Vec<&str> = headers
        .iter()
        .flat_map(|header| header.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect();
    let mut keys: Vec<&str> = Vec::with_capacity(members.len());
    for member in &members {
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    (members.len() <= MEMBERS).then(|| shortened(members).join(","))
}

/// Leaves whole members out until the rest fits: long ones first, then from the end, where the oldest are.
fn shortened(mut members: Vec<&str>) -> Vec<&str> {
    while joined_chars(&members) > PASSED_ON_CHARS {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER_CHARS);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    members
}

/// Members are ASCII, so bytes are characters.
fn joined_chars(members: &[&str]) -> usize {
    members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
}

fn is_key(key: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let rest = |b: u8| first(b) || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= KEY_CHARS && key.bytes().next().is_some_and(first) && key.bytes().all(rest)
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= VALUE_CHARS
        && value.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && !value.contains('=')
}
