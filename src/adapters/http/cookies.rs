//! Cookies of one run (RFC 6265): each goes back to the host that set it, and to no other.

use http::HeaderMap;
use http::header::SET_COOKIE;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use url::Url;

use crate::egress::http_date;

/// Cookies that one run keeps: as many as RFC 6265, section 6.1, asks for one host. The oldest go first.
const MOST_COOKIES: usize = 50;
/// The longest that is kept, name and value, in bytes (the same section).
const LONGEST: usize = 4096;

/// The cookies of one run.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    path: String,
    secure: bool,
    /// When it ends; `None` is with the run.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires: Option<OffsetDateTime>,
}

impl Cookies {
    /// What no error may show.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| cookie.value.as_str())
    }

    /// Takes what an answer of `from` sets, `now`.
    pub(super) fn take(&mut self, headers: &HeaderMap, from: &Url, now: OffsetDateTime) {
        for cookie in set(headers).filter_map(|line| Cookie::read(line, from, now)) {
            self.0.retain(|kept| !kept.is_replaced_by(&cookie));
            if cookie.is_alive(now) {
                self.0.push(cookie);
            }
        }
        let too_many = self.0.len().saturating_sub(MOST_COOKIES);
        self.0.drain(..too_many);
    }

    /// The value of the `Cookie` header of a request to `to`; the longer path comes first.
    pub(super) fn header(&self, to: &Url, now: OffsetDateTime) -> Option<String> {
        let mut fitting: Vec<&Cookie> =
            self.0.iter().filter(|cookie| cookie.is_alive(now) && cookie.is_for(to)).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// The value that an answer, or the last of several, gives the cookie `name`.
pub(super) fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = set(headers).filter_map(|line| pair(line.split(';').next().unwrap_or_default()));
    pairs.filter(|(key, _)| *key == name).last().map(|(_, value)| value)
}

/// Every `Set-Cookie` of an answer.
fn set(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok())
}

fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    (!name.is_empty() && name.len() + value.len() <= LONGEST).then_some((name, value))
}

impl Cookie {
    /// What the line says; `None` if that is nothing, or something that the host has no say in.
    fn read(line: &str, from: &Url, now: OffsetDateTime) -> Option<Self> {
        let mut parts = line.split(';');
        let (name, value) = pair(parts.next()?)?;
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            host: from.host_str()?.to_owned(),
            path: default_path(from),
            secure: false,
            expires: None,
        };
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.apply(attribute.trim(), value.trim())?;
        }
        // `Max-Age` wins over `Expires`, wherever it stands.
        if let Some(seconds) = attribute(line, "max-age").and_then(|seconds| seconds.parse().ok()) {
            cookie.expires = now.checked_add(Duration::seconds(seconds));
        }
        Some(cookie).filter(|cookie| !cookie.secure || is_secure(from))
    }

    fn apply(&mut self, attribute: &str, value: &str) -> Option<()> {
        match attribute.to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut self.path),
            "secure" => self.secure = true,
            "domain" if !covers(value, &self.host) => return None,
            // A date that is none is as if it were not there.
            "expires" => self.expires = http_date(value),
            _ => {}
        }
        Some(())
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.name, &self.host, &self.path) == (&other.name, &other.host, &other.path)
    }

    fn is_alive(&self, now: OffsetDateTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    fn is_for(&self, url: &Url) -> bool {
        let is_host = url.host_str() == Some(self.host.as_str());
        is_host && (!self.secure || is_secure(url)) && path_matches(url.path(), &self.path)
    }
}

/// The last value that a line gives an attribute.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let attributes = line.split(';').skip(1).filter_map(|part| part.split_once('='));
    let named = attributes.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    named.last().map(|(_, value)| value.trim())
}

fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

/// Whether a cookie for `domain` is the business of `host`. It goes back to `host` alone all the same.
fn covers(domain: &str, host: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    domain.is_empty() || host == domain || host.ends_with(&format!(".{domain}"))
}

/// RFC 6265, section 5.1.4: up to the last `/`, without it.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => url.path()[..end].to_owned(),
    }
}

/// The same section.
fn path_matches(path: &str, of_cookie: &str) -> bool {
    let rest = path.strip_prefix(of_cookie);
    rest.is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn after(lines: &[&str], from: &str) -> Cookies {
        let mut cookies = Cookies::default();
        for line in lines {
            let mut headers = HeaderMap::new();
            headers.insert(SET_COOKIE, HeaderValue::from_str(line).unwrap());
            cookies.take(&headers, &url(from), NOW);
        }
        cookies
    }

    fn sent(cookies: &Cookies, to: &str) -> String {
        cookies.header(&url(to), NOW).unwrap_or_default()
    }

    #[test]
    fn a_cookie_goes_back_to_its_own_host_and_path_only() {
        let cookies = after(&["a=1", "b=2; Path=/", "c=3; Path=/api/x"], "https://shop.example/api/login");
        for (to, expected) in [
            ("https://shop.example/api/chat", "a=1; b=2"),
            ("https://shop.example/api", "a=1; b=2"),
            ("https://shop.example/api/x/y", "c=3; a=1; b=2"),
            ("https://shop.example:8443/", "b=2"),
            ("https://shop.example/apix", "b=2"),
            ("https://www.shop.example/api/chat", ""),
            ("https://example/api/chat", ""),
        ] {
            assert_eq!(sent(&cookies, to), expected, "{to}");
        }
    }

    #[test]
    fn a_host_cannot_set_cookies_of_others_and_shares_none_of_its_own() {
        let from = "https://shop.example/";
        assert_eq!(sent(&after(&["a=1; Domain=other.example"], from), from), "");
        assert_eq!(sent(&after(&["a=1; Domain=op.example"], from), from), "");
        let cookies = after(&["a=1; Domain=.shop.example"], from);
        assert_eq!(
            (sent(&cookies, from).as_str(), sent(&cookies, "https://x.shop.example/")),
            ("a=1", String::new())
        );
    }

    #[test]
    fn a_secure_cookie_never_goes_in_the_clear() {
        let cookies = after(&["a=1; Secure"], "https://shop.example/");
        assert_eq!(sent(&cookies, "https://shop.example/"), "a=1");
        assert_eq!(sent(&cookies, "http://shop.example/"), "");
        assert_eq!(sent(&after(&["a=1; secure"], "http://shop.example/"), "https://shop.example/"), "");
    }

    #[test]
    fn a_cookie_ends_when_its_server_says() {
        let from = "https://shop.example/";
        for (ending, lives) in [
            ("Max-Age=60", true),
            ("Max-Age=0", false),
            ("Max-Age=-1", false),
            ("Max-Age=9223372036854775807", true),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("Expires=Wed, 21-Oct-2048 07:28:00 GMT", true),
            ("Expires=Thursday, 01-Jan-70 00:00:00 GMT", false),
            ("Expires=Thu Jan  1 00:00:00 1970", false),
            ("Expires=soon", true),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=5", true),
        ] {
            let cookies = after(&["a=0", &format!("a=1; {ending}")], from);
            assert_eq!(sent(&cookies, from), if lives { "a=1" } else { "" }, "{ending}");
        }
        let minute = after(&["a=1; Max-Age=60"], from);
        assert_eq!(minute.header(&url(from), NOW + Duration::seconds(61)), None);
    }

    #[test]
    fn what_is_no_cookie_is_left_alone_and_there_are_never_too_many() {
        let from = "https://shop.example/";
        let long = format!("a={}", "x".repeat(LONGEST));
        assert_eq!(sent(&after(&["", "=1", "novalue", &long], from), from), "");
        let many: Vec<String> = (0..=MOST_COOKIES).map(|n| format!("c{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = sent(&after(&many, from), from);
        assert!(!kept.contains("c0=1") && kept.contains("c1=1") && kept.contains("c50=1"), "{kept}");
    }
}
