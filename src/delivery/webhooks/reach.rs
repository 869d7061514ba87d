//! Where a webhook may lead: no requests on behalf of others to what only this server can reach. Checked when an
//! address is written down, and again for the very network address that each connection goes to.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer addresses are refused.
pub const URL_BYTES_MAX: usize = 2048;

/// What the configuration allows.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub allow_http: bool,
    /// Networks that may be reached although they are not public.
    pub allow_networks: Vec<IpNet>,
}

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("expected an absolute address, such as https://hooks.example.com/castellan")]
    NotAnAddress,
    #[error("expected at most {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("expected https")]
    Scheme,
    #[error("must not name a user or a password")]
    UserInfo,
    #[error("this port is not used for webhooks")]
    Port,
    #[error("this network address may not be reached")]
    Address,
}

impl Reach {
    /// Reads an address and checks all that can be known of it without asking for its name.
    pub fn check(&self, text: &str) -> Result<Url, Unreachable> {
        if text.len() > URL_BYTES_MAX {
            return Err(Unreachable::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(Unreachable::NotAnAddress);
        }
        let url = Url::parse(text).map_err(|_| Unreachable::NotAnAddress)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(Unreachable::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unreachable::UserInfo);
        }
        if url.port().is_some_and(|port| !is_port_for_http(port)) {
            return Err(Unreachable::Port);
        }
        // Whatever spelling an IPv4 address came in (decimal, hexadecimal, short), the parser has made it one.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Unreachable::NotAnAddress)?;
        if literal(host).is_some_and(|address| !self.allows(address)) {
            return Err(Unreachable::Address);
        }
        Ok(url)
    }

    /// Whether a connection may go to this network address.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.allow_networks.iter().any(|network| network.contains(&address))
    }
}

/// The host of an address, if it is a network address by itself.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Services that answer something else than HTTP, or that act on whatever line they are sent.
const OTHER_SERVICES: [u16; 22] = [
    1433, 1521, 2049, 2181, 2375, 2379, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672, 5900, 6000, 6379, 9042,
    9092, 11211, 27017,
];

fn is_port_for_http(port: u16) -> bool {
    matches!(port, 80 | 443 | 1024..) && !OTHER_SERVICES.contains(&port)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_UNICAST_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// IANA's special-purpose registry, multicast, reserved space, and the one public address that is not the internet's.
const NOT_PUBLIC_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
    // Azure's metadata and agent service.
    v4(168, 63, 129, 16, 32),
];

/// Everything outside is refused: loopback, unspecified, IPv4 in IPv6 in any form, NAT64, unique-local, link-local,
/// site-local, multicast.
const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Protocol assignments with Teredo, documentation, 6to4.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)];

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(networks: &[&str]) -> Reach {
        Reach { allow_http: true, allow_networks: networks.iter().map(|network| network.parse().unwrap()).collect() }
    }

    #[test]
    fn what_is_not_public_is_not_reached_however_it_is_spelt() {
        let forbidden = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "127.0.0.1.",
            "１２７.０.０.１",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[100::1]",
            "[2001:db8::1]",
            "[2001::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
        ];
        for host in forbidden {
            let checked = reach(&[]).check(&format!("https://{host}/x"));
            assert_eq!(checked.err(), Some(Unreachable::Address), "{host}");
        }
        for host in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "hooks.example.com", "localhost"] {
            assert!(reach(&[]).check(&format!("https://{host}/x")).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_operator_may_allow_networks_by_their_own_name_only() {
        let allowed = reach(&["127.0.0.0/8", "10.1.0.0/16", "fd00:1::/32"]);
        for host in ["127.0.0.1", "2130706433", "10.1.9.9", "[fd00:1::5]"] {
            assert!(allowed.check(&format!("http://{host}/")).is_ok(), "{host}");
        }
        for host in ["10.2.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fd00:2::5]"] {
            assert_eq!(allowed.check(&format!("http://{host}/")).err(), Some(Unreachable::Address), "{host}");
        }
    }

    #[test]
    fn addresses_are_plain() {
        let strict = Reach::default();
        for (text, why) in [
            ("http://example.com/", Unreachable::Scheme),
            ("ftp://example.com/", Unreachable::Scheme),
            ("file:///etc/passwd", Unreachable::Scheme),
            ("https://user@example.com/", Unreachable::UserInfo),
            ("https://user:word@example.com/", Unreachable::UserInfo),
            ("https://:word@example.com/", Unreachable::UserInfo),
            ("https://example.com:22/", Unreachable::Port),
            ("https://example.com:25/", Unreachable::Port),
            ("https://example.com:6379/", Unreachable::Port),
            ("https://example.com:0/", Unreachable::Port),
            ("example.com", Unreachable::NotAnAddress),
            ("/hooks", Unreachable::NotAnAddress),
            ("https://", Unreachable::NotAnAddress),
            ("https://exa mple.com/", Unreachable::NotAnAddress),
            ("https://example.com/\r\nx: y", Unreachable::NotAnAddress),
            ("https://[::1", Unreachable::NotAnAddress),
            ("", Unreachable::NotAnAddress),
        ] {
            assert_eq!(strict.check(text).err(), Some(why), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(strict.check(&long).err(), Some(Unreachable::TooLong));
        for text in ["https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/"] {
            assert!(strict.check(text).is_ok(), "{text}");
        }
    }
}
