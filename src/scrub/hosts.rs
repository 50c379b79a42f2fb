//! How a secret looks that was put into the host of a URL: parsers write hosts in small letters, and other than ASCII in
//! Punycode.

use url::{Host, Url};

/// `secret` as it is and as parsers write it, if it can be (a part of) the name of a host.
pub(super) fn of(secret: &str) -> Vec<String> {
    match Host::parse(secret) {
        Ok(Host::Domain(written)) if written.eq_ignore_ascii_case(secret) => vec![written],
        Ok(Host::Domain(written)) => vec![secret.to_owned(), written],
        // Digits alone are an address, and have no letters that could change.
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => Vec::new(),
    }
}

/// `secret` as parsers write it, if it is a whole URL.
pub(super) fn of_url(secret: &str) -> Option<String> {
    let url = Url::parse(secret).ok().filter(Url::has_host)?;
    // A path of its own may follow where parsers put one.
    let written = url.as_str().strip_suffix('/').unwrap_or(url.as_str());
    (written != secret).then(|| written.to_owned())
}
