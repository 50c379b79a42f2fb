//! Header bytes as the client library reads them: what it cannot, and what is readable all the same.

use async_nats::header::{HeaderName, HeaderValue};
use async_nats::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Beginning of every block of headers (NATS protocol).
const VERSION: &str = "NATS/1.0";
/// Header of a dead letter: the whole block as it was, as base64.
const HEADER_BLOCK: &str = "Scenario-Unreadable-Headers";

/// What the library cannot read about `block`; an empty one is none at all.
pub(super) fn problem(block: &[u8]) -> Option<&'static str> {
    if block.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(block) else {
        return Some("its headers are not UTF-8");
    };
    let mut lines = text.lines();
    let Some(rest) = lines.next().and_then(|line| line.strip_prefix(VERSION)) else {
        return Some("its headers do not begin with `NATS/1.0`");
    };
    let status = rest.split_whitespace().next();
    if status.is_some_and(|status| status.parse::<StatusCode>().is_err()) {
        return Some("its status line has no number");
    }
    fields(lines).find_map(Result::err)
}

type Field = (HeaderName, HeaderValue);

/// Every header, or what is wrong with its line. A line that begins with white space goes on with the one before.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Result<Field, &'static str>> {
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let mut more = String::new();
        while let Some(next) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            more.push_str(next);
        }
        Some(field(line, &more))
    })
}

fn field(line: &str, more: &str) -> Result<Field, &'static str> {
    let (name, value) = line.split_once(':').ok_or("a line of its headers has no colon")?;
    let name = name.parse().map_err(|_| "the name of one of its headers is not valid")?;
    let value = format!("{value}{more}");
    let value = value.trim().parse().map_err(|_| "the value of one of its headers has a line break")?;
    Ok((name, value))
}

/// The headers with a readable name, their values as far as they are text, and the whole block as it was.
pub(super) fn readable(block: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = String::from_utf8_lossy(block);
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r')).skip(1);
    let text: Vec<String> = lines.map(|line| line.replace('\r', " ")).collect();
    for (name, value) in fields(text.iter().map(String::as_str)).flatten() {
        headers.append(name, value);
    }
    if !block.is_empty() {
        headers.insert(HEADER_BLOCK, STANDARD.encode(block));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_reads_is_no_problem() {
        for good in
            ["", "NATS/1.0\r\n\r\n", "NATS/1.0 503 no\r\nA: b\r\n\r\n", "NATS/1.0\r\nA:é\r\n more\r\n\r\n"]
        {
            assert_eq!(problem(good.as_bytes()), None, "{good:?}");
        }
    }

    #[test]
    fn what_it_cannot_read_is_named() {
        let bad: [(&[u8], &str); 6] = [
            (b"NATS/1.0\r\nA: \xff\r\n\r\n", "UTF-8"),
            (b"NATS/1.0\r\nno colon\r\n\r\n", "colon"),
            (b"NATS/1.0\r\nA b: c\r\n\r\n", "name"),
            (b"NATS/1.0\r\nA: b\rc\r\n\r\n", "line break"),
            (b"NATS/1.0 x\r\n\r\n", "status"),
            (b"HTTP/1.1\r\n\r\n", "NATS/1.0"),
        ];
        for (block, part) in bad {
            let problem = problem(block).unwrap();
            assert!(problem.contains(part), "{block:?}: {problem}");
        }
    }

    #[test]
    fn what_is_readable_is_kept_by_name_and_all_of_it_as_it_was() {
        let block = b"NATS/1.0\r\nX-Mine: k\xffpt\r\nno colon\r\nA: b\rc\r\n\r\n";
        let headers = readable(block);
        assert_eq!(headers.get("X-Mine").unwrap().as_str(), "k\u{fffd}pt");
        assert_eq!(headers.get("A").unwrap().as_str(), "b c");
        assert_eq!(STANDARD.decode(headers.get(HEADER_BLOCK).unwrap().as_str()).unwrap(), block);
    }
}
