//! What kind of address an address is, in whatever form it is written.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates), and the
//! documentation of the clouds for their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is, as far as that matters here.
///
/// Of an address that can be read in several ways, the greatest is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// Nothing that could be called: an unspecified, multicast, broadcast or reserved address.
    Unusable,
    /// Anywhere on the internet.
    Public,
    /// A private network, or this machine.
    Private,
    /// A service that hands out the machine's credentials, or a neighbour on the link, where such services are.
    Metadata,
}

/// Why an address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is a metadata service or link-local.
    #[error("Access to cloud metadata and link-local addresses is not allowed")]
    Metadata,
    /// It is private, and private networks are closed.
    #[error("Access to private or localhost addresses is not allowed")]
    Private,
    /// It is nothing that could be called.
    #[error("it is no address that can be called")]
    Unusable,
}

/// Metadata services that are not link-local: of Alibaba Cloud, Oracle Cloud and Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// Metadata services over IPv6: of AWS for machines and for pods, of Google Cloud, Oracle Cloud and Scaleway.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42),
];

/// Blocks of IPv4 that are not public: the network, the length of its prefix, and what it is.
const BLOCKS_V4: [(Ipv4Addr, u32, Region); 14] = [
    (Ipv4Addr::new(169, 254, 0, 0), 16, Region::Metadata),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Region::Private),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Region::Private),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Region::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Region::Private),
    // Shared by carriers, and by clouds for what is their own.
    (Ipv4Addr::new(100, 64, 0, 0), 10, Region::Private),
    // On many systems this machine, too.
    (Ipv4Addr::UNSPECIFIED, 8, Region::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Region::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Region::Private),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Region::Unusable),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Region::Unusable),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Region::Unusable),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Region::Unusable),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Region::Unusable),
];

/// Blocks of IPv6 that are not public and hold no IPv4 address.
const BLOCKS_V6: [(Ipv6Addr, u32, Region); 7] = [
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Region::Metadata),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Region::Private),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Region::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Region::Unusable),
    (Ipv6Addr::new(0x0100, 0, 0, 0, 0, 0, 0, 0), 64, Region::Unusable),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, Region::Unusable),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Region::Unusable),
];

/// Prefixes of IPv6 behind which an IPv4 address stands, and the bit at which it begins.
const TRANSLATED: [(Ipv6Addr, u32, u32); 4] = [
    // Mapped (RFC 4291), translated without state (RFC 2765), compatible (deprecated), 6to4 (RFC 3056).
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, 96),
    (Ipv6Addr::UNSPECIFIED, 96, 96),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16),
];
/// What prefixes of translators (NAT64) begin with: the well-known one (RFC 6052) is in it, and the local one.
const TRANSLATORS: (Ipv6Addr, u32) = (Ipv6Addr::new(0x0064, 0xff9b, 0, 0, 0, 0, 0, 0), 32);
/// Prefixes of translators of one's own network (RFC 8215): whatever is behind them, they are no part of the internet.
const LOCAL_TRANSLATORS: (Ipv6Addr, u32) = (Ipv6Addr::new(0x0064, 0xff9b, 0x0001, 0, 0, 0, 0, 0), 48);
/// How long a translator's prefix can be, in bytes (RFC 6052, section 2.2). Nothing in an address says which it is.
const TRANSLATOR_PREFIXES: [usize; 6] = [4, 5, 6, 7, 8, 12];
/// The byte of such an address that is left out behind all of these but the longest.
const LEFT_OUT: usize = 8;
/// What the lower half of an address begins with that holds an IPv4 address (ISATAP, RFC 5214), but for the bit that
/// says whether that one is unique everywhere.
const ISATAP: u32 = 0x0000_5efe;
const UNIQUE_EVERYWHERE: u32 = 0x0200_0000;

/// Teredo (RFC 4380) hides the client's IPv4 address by inverting its bits.
const TEREDO: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32);

const BITS_V4: u32 = 32;
const BITS_V6: u32 = 128;

impl Region {
    /// Where `address` is. One that holds another address is where that one is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Region {
    if METADATA_V4.contains(&address) {
        return Region::Metadata;
    }
    if address.is_unspecified() || address.is_broadcast() {
        return Region::Unusable;
    }
    let block = BLOCKS_V4.iter().find(|(network, prefix, _)| {
        let shift = BITS_V4 - prefix;
        address.to_bits() >> shift == network.to_bits() >> shift
    });
    block.map_or(Region::Public, |(_, _, region)| *region)
}

fn of_v6(address: Ipv6Addr) -> Region {
    if METADATA_V6.contains(&address) {
        return Region::Metadata;
    }
    if address.is_loopback() {
        return Region::Private;
    }
    if address.is_unspecified() {
        return Region::Unusable;
    }
    if let Some(inner) = inside(address) {
        return of_v4(inner);
    }
    if is_in(address, TRANSLATORS.0, TRANSLATORS.1) {
        return translated(address);
    }
    tunnelled(address)
}

/// The region of an address's block, and of the IPv4 address that a tunnel leads to.
fn tunnelled(address: Ipv6Addr) -> Region {
    let block = BLOCKS_V6.iter().find(|(network, prefix, _)| is_in(address, *network, *prefix));
    let outer = block.map_or(Region::Public, |(_, _, region)| *region);
    let is_tunnel = low_bits(address.to_bits() >> BITS_V4) & !UNIQUE_EVERYWHERE == ISATAP;
    let inner = is_tunnel.then(|| of_v4(Ipv4Addr::from_bits(low_bits(address.to_bits()))));
    inner.map_or(outer, |inner| if outer == Region::Unusable { outer } else { outer.max(inner) })
}

/// Where a translator leads, whichever the length of its prefix is. Zeros are where another length has nothing.
fn translated(address: Ipv6Addr) -> Region {
    let inner = TRANSLATOR_PREFIXES.iter().map(|length| embedded(address, *length));
    let named = inner.filter(|inner| inner.octets()[0] != 0).map(of_v4).max();
    let region = named.unwrap_or(Region::Unusable);
    let is_local = region == Region::Public && is_in(address, LOCAL_TRANSLATORS.0, LOCAL_TRANSLATORS.1);
    if is_local { Region::Private } else { region }
}

/// The IPv4 address behind a prefix of `length` bytes (RFC 6052, section 2.2).
fn embedded(address: Ipv6Addr, length: usize) -> Ipv4Addr {
    let octets = address.octets().into_iter().enumerate();
    let told = octets.filter(|(at, _)| *at != LEFT_OUT || length > LEFT_OUT).map(|(_, octet)| octet);
    let mut inner = [0; 4];
    inner.iter_mut().zip(told.skip(length)).for_each(|(to, octet)| *to = octet);
    Ipv4Addr::from(inner)
}

/// The IPv4 address that an IPv6 address holds.
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if is_in(address, TEREDO.0, TEREDO.1) {
        return Some(Ipv4Addr::from_bits(!low_bits(address.to_bits())));
    }
    let (_, _, begin) = TRANSLATED.iter().find(|(network, prefix, _)| is_in(address, *network, *prefix))?;
    Some(Ipv4Addr::from_bits(low_bits(address.to_bits() >> (BITS_V6 - BITS_V4 - begin))))
}

#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are what is asked for")]
fn low_bits(bits: u128) -> u32 {
    bits as u32
}

fn is_in(address: Ipv6Addr, network: Ipv6Addr, prefix: u32) -> bool {
    let shift = BITS_V6 - prefix;
    address.to_bits() >> shift == network.to_bits() >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(address: &str) -> Region {
        Region::of(address.parse().unwrap())
    }

    const METADATA: &[&str] = &[
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:1:1:1:1:5601:5601",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "::ffff:0:a9fe:a9fe",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "64:ff9b:a9fe:a9fe::",
        "64:ff9b:a9:fea9:fe::",
        "64:ff9b:1:a9fe:a9:fe00:808:808",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "64:ff9b:1:808:808:808:a9fe:a9fe",
        "2001:470::5efe:a9fe:a9fe",
        "2001:470::200:5efe:a9fe:a9fe",
        "fe80::5efe:808:808",
    ];

    #[test]
    fn every_form_of_a_metadata_address_is_one() {
        for address in METADATA {
            assert_eq!(region(address), Region::Metadata, "{address}");
        }
    }

    const PRIVATE: &[&str] = &[
        "10.1.2.3",
        "172.31.255.255",
        "192.168.1.1",
        "127.255.255.254",
        "100.64.0.1",
        "0.1.2.3",
        "198.18.0.1",
        "::1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::ffff:0:7f00:1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1::808:808",
        "2001:470::5efe:7f00:1",
    ];

    #[test]
    fn private_addresses_are_private_in_every_form() {
        for address in PRIVATE {
            assert_eq!(region(address), Region::Private, "{address}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_told_apart() {
        for address in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "ff02::1",
            "192.0.2.1",
            "2001:db8::1",
            "2001:db8::5efe:808:808",
            "64:ff9b::e000:1",
            "64:ff9b::",
        ] {
            assert_eq!(region(address), Region::Unusable, "{address}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:0:808:808",
            "2001:470::5efe:808:808",
        ] {
            assert_eq!(region(address), Region::Public, "{address}");
        }
    }
}
