//! Where calls may go.

use std::collections::BTreeSet;
use std::net::IpAddr;

use url::{Host, Url};

use super::address::{Refusal, Region};

/// Names of metadata services. They are refused as names too, because a hosts file or a resolver of the cloud's may give
/// them any address.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "instance-data.ec2.internal"];

/// Where calls of runs may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    private_networks: bool,
    allowed: BTreeSet<String>,
}

/// A call that may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither http nor https.
    #[error("the scheme '{0}' is not called: only http and https are")]
    Scheme(String),
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// The host's name or address is closed.
    #[error("{refusal}: {host}{}", .address.map(|address| format!(" is at {address}")).unwrap_or_default())]
    Host {
        /// The host, as the URL has it.
        host: String,
        /// Where it was found, if it is a name.
        address: Option<IpAddr>,
        /// Why.
        refusal: Refusal,
    },
}

/// An entry of an allow-list that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no host name and no address: an entry has neither scheme, port nor path")]
pub struct InvalidHost(pub String);

impl EgressPolicy {
    /// Calls may go to the internet and, with `private_networks`, to private networks and this machine; never to metadata
    /// services. The hosts of `allowed` may be private whatever is said of private networks.
    ///
    /// # Errors
    /// [`InvalidHost`] if an entry is no host.
    pub fn new<H: AsRef<str>>(
        private_networks: bool,
        allowed: impl IntoIterator<Item = H>,
    ) -> Result<Self, InvalidHost> {
        let allowed = allowed.into_iter().map(|host| canonical(host.as_ref()));
        Ok(Self { private_networks, allowed: allowed.collect::<Result<_, _>>()? })
    }

    /// Whether `url` may be called, as far as that can be told before its host is resolved.
    ///
    /// # Errors
    /// [`Refused`] that says what is wrong with it.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        // The parser has brought every spelling of an address (octal, hexadecimal, one number) into its usual form.
        match url.host().ok_or(Refused::NoHost)? {
            Host::Ipv4(address) => self.check_literal(address.into(), url),
            Host::Ipv6(address) => self.check_literal(address.into(), url),
            Host::Domain(name) => check_name(name),
        }
    }

    fn check_literal(&self, address: IpAddr, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        self.judge(host, address).map_err(|refusal| Refused::Host {
            host: host.to_owned(),
            address: None,
            refusal,
        })
    }

    /// Whether the host `name` may be called at `address`.
    ///
    /// # Errors
    /// [`Refused`] that says why not.
    pub fn check_resolved(&self, name: &str, address: IpAddr) -> Result<(), Refused> {
        check_name(name)?;
        let refused = |refusal| Refused::Host { host: name.to_owned(), address: Some(address), refusal };
        self.judge(name, address).map_err(refused)
    }

    fn judge(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        match Region::of(address) {
            Region::Public => Ok(()),
            Region::Metadata => Err(Refusal::Metadata),
            Region::Unusable => Err(Refusal::Unusable),
            Region::Private if self.private_networks || self.is_allowed(host) => Ok(()),
            Region::Private => Err(Refusal::Private),
        }
    }

    fn is_allowed(&self, host: &str) -> bool {
        canonical(host).is_ok_and(|host| self.allowed.contains(&host))
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    let name = name.trim_end_matches('.');
    if METADATA_NAMES.iter().any(|metadata| name.eq_ignore_ascii_case(metadata)) {
        let (host, refusal) = (name.to_owned(), Refusal::Metadata);
        return Err(Refused::Host { host, address: None, refusal });
    }
    Ok(())
}

/// A host as URLs have it: lower case, addresses in their usual form, without the root's dot.
fn canonical(host: &str) -> Result<String, InvalidHost> {
    let trimmed = host.trim().trim_end_matches('.');
    let bare = trimmed.parse::<std::net::Ipv6Addr>().map(|address| format!("[{address}]"));
    let text = bare.unwrap_or_else(|_| trimmed.to_owned());
    let parsed = Host::parse(&text).map_err(|_| InvalidHost(host.to_owned()))?;
    Ok(parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> EgressPolicy {
        EgressPolicy::new(false, ["Tools.Internal.", "10.0.0.5", "fd00::7"]).unwrap()
    }

    fn check(policy: &EgressPolicy, url: &str) -> Result<(), Refused> {
        policy.check_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn an_address_is_found_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]:8080/",
            "http://user@10.0.0.1/",
            "http://１２７.0.0.1/",
        ] {
            let refused = check(&closed(), url).unwrap_err();
            assert!(matches!(refused, Refused::Host { refusal: Refusal::Private, .. }), "{url}: {refused}");
            assert_eq!(check(&EgressPolicy::new(true, [""; 0]).unwrap(), url), Ok(()), "{url}");
        }
    }

    #[test]
    fn metadata_is_closed_whatever_is_allowed() {
        let open = EgressPolicy::new(true, ["169.254.169.254", "metadata.google.internal"]).unwrap();
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
        ] {
            let refused = check(&open, url).unwrap_err();
            assert!(matches!(refused, Refused::Host { refusal: Refusal::Metadata, .. }), "{url}: {refused}");
        }
    }

    #[test]
    fn a_name_is_judged_by_where_it_is_found() {
        let private: IpAddr = "10.0.0.9".parse().unwrap();
        let refused = closed().check_resolved("example.com", private).unwrap_err();
        assert!(refused.to_string().contains("example.com is at 10.0.0.9"), "{refused}");
        assert_eq!(closed().check_resolved("tools.internal", private), Ok(()));
        assert_eq!(closed().check_resolved("example.com", "1.1.1.1".parse().unwrap()), Ok(()));
        let metadata = "169.254.169.254".parse().unwrap();
        assert!(closed().check_resolved("tools.internal", metadata).is_err(), "never metadata");
    }

    #[test]
    fn listed_addresses_may_be_called() {
        assert_eq!(check(&closed(), "http://10.0.0.5:8080/"), Ok(()));
        assert_eq!(check(&closed(), "http://[fd00::7]/"), Ok(()));
        assert!(check(&closed(), "http://10.0.0.6/").is_err());
    }

    #[test]
    fn other_schemes_and_entries_that_are_no_hosts_are_refused() {
        assert_eq!(check(&closed(), "file:///etc/passwd"), Err(Refused::Scheme("file".into())));
        assert_eq!(check(&closed(), "gopher://x/"), Err(Refused::Scheme("gopher".into())));
        for entry in ["http://x", "x:80", "x/y", ""] {
            assert_eq!(EgressPolicy::new(false, [entry]), Err(InvalidHost(entry.into())), "{entry}");
        }
    }
}
