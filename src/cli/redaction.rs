//! Settings without their secrets. A URL may hold a password wherever it stands, in more than one place, and written
//! in ways that no parser agrees on: what is not surely harmless is left out.

use serde_json::Value;

use crate::definitions::REDACTED;

/// Schemes of URLs that may stand in a list. A comma elsewhere may be part of a password.
const LISTED: [&str; 2] = ["nats://", "tls://"];
/// What stands between a scheme and an authority.
const AUTHORITY: &str = "://";

/// Leaves the secrets out of every text in `value`.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(redact),
        Value::Array(list) => list.iter_mut().for_each(redact),
        Value::String(text) => *text = redact_text(text),
        _ => {}
    }
}

/// `text` without its secrets.
pub(super) fn redacted(text: &str) -> String {
    redact_text(text)
}

fn redact_text(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',') {
        let begins_a_url = LISTED.iter().any(|scheme| part.trim_start().starts_with(scheme));
        match parts.last_mut() {
            Some(last) if !begins_a_url => *last = format!("{last},{part}"),
            _ => parts.push(part.to_owned()),
        }
    }
    parts.iter().map(|url| redact_url(url)).collect::<Vec<_>>().join(",")
}

/// Keeps scheme, user, host, port and path. Queries and fragments go as a whole: drivers read passwords from them.
fn redact_url(text: &str) -> String {
    let (head, tail) = text.find(['?', '#']).map_or((text, ""), |at| text.split_at(at));
    let Some((scheme, rest)) = head.split_once(AUTHORITY) else { return redact_opaque(text, head, tail) };
    let shown = match (rest.rsplit_once('@'), tail.contains('@')) {
        // The '?' or '#' may be part of a password, and then all before it may be, too.
        (_, true) => return format!("{scheme}{AUTHORITY}{REDACTED}"),
        (Some((credentials, place)), _) => format!("{}@{place}", redact_credentials(credentials)),
        (None, _) => redact_place(rest),
    };
    format!("{scheme}{AUTHORITY}{shown}{}", redact_tail(tail))
}

/// A text without an authority: a path, a name, or a URL that lacks its slashes.
fn redact_opaque(text: &str, head: &str, tail: &str) -> String {
    if text.contains('@') && text.contains(':') {
        return REDACTED.to_owned();
    }
    format!("{head}{}", redact_tail(tail))
}

/// Credentials without a colon are a token.
fn redact_credentials(credentials: &str) -> String {
    let is_plain = |user: &str| user.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%".contains(c));
    match credentials.split_once(':') {
        Some((user, _)) if is_plain(user) => format!("{user}:{REDACTED}"),
        _ => REDACTED.to_owned(),
    }
}

/// What stands behind a host's colon is shown only if it is a port.
fn redact_place(place: &str) -> String {
    let authority = place.split('/').next().unwrap_or_default();
    let host_end = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[host_end..].split_once(':') {
        Some((_, port)) if !port.chars().all(|c| c.is_ascii_digit()) => REDACTED.to_owned(),
        _ => place.to_owned(),
    }
}

fn redact_tail(tail: &str) -> String {
    tail.chars().next().map(|mark| format!("{mark}{REDACTED}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_PASSWORD: [&str; 22] = [
        "postgres://u:hunter2@h/d",
        "postgres://u:hun|ter2@h/d",
        "postgres://u:hun,ter2@h/d",
        "postgres://u:hun, ter2@h/d",
        "postgres://u:hun%7Cter2@h/d",
        "postgres://u:hun@ter2@h/d",
        "postgres://u:hun:ter2@h/d",
        "postgres://u:hun/ter2@h/d",
        "postgres://u:hun/te?r2@h/d",
        "postgres://u:123?hunter2@h/d",
        "postgres://u:hun#ter2@h/d",
        "postgres://u:hun ter2",
        "postgres://h/d?user=u&password=hunter2",
        "postgres://h/d?user=u&password=hun@ter2",
        "postgres://u:x@h/d?password=hunter2",
        "postgres:u:hunter2@h/d",
        "postgres:/u:hunter2@h/d",
        "nats://hunter2@h:4222",
        "nats://a:hun,ter2@h,nats://b:hunter2@h",
        "nats://a:x@h, tls://hunter2@h",
        "http://hun/ter2:x@h/",
        "https://h/v1#hunter2",
    ];

    #[test]
    fn a_password_is_not_shown_however_it_is_written() {
        for url in WITH_PASSWORD {
            let shown = redact_text(url);
            assert!(!["hun", "ter2", "r2"].iter().any(|part| shown.contains(part)), "{url} became {shown}");
            assert!(shown.contains(REDACTED), "{url} became {shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        let cases = [
            ("postgres://u:hunter2@h:5432/d", "postgres://u:[redacted]@h:5432/d"),
            ("nats://a:x@h,nats://b:y@h:1", "nats://a:[redacted]@h,nats://b:[redacted]@h:1"),
            ("nats://127.0.0.1:4222, nats://[::1]:4223", "nats://127.0.0.1:4222, nats://[::1]:4223"),
            ("sqlite://scenario-worker.db", "sqlite://scenario-worker.db"),
            ("sqlite:///var/lib/worker.db?mode=ro", "sqlite:///var/lib/worker.db?[redacted]"),
            ("http://collector:4318/otlp", "http://collector:4318/otlp"),
            ("openai/gpt-5-mini", "openai/gpt-5-mini"),
            ("/etc/worker.creds", "/etc/worker.creds"),
            ("127.0.0.1:9464", "127.0.0.1:9464"),
        ];
        for (text, shown) in cases {
            assert_eq!(redact_text(text), shown);
        }
    }
}
