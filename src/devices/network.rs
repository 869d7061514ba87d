//! Networks as people write them on a whitelist: strict, and whoever is nearly right is shown how to write it.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a text is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("expected an address or a network: 192.0.2.7, 192.0.2.0/24, 192.0.2.0/255.255.255.0, 2001:db8::/32")]
    Unreadable,
    #[error("{why}; did you mean {corrected}?")]
    Nearly { why: &'static str, corrected: String },
}

fn nearly(why: &'static str, corrected: impl ToString) -> NetworkError {
    NetworkError::Nearly { why, corrected: corrected.to_string() }
}

/// An address, or a network by the length or the mask of its prefix. `::ffff:a.b.c.d` is `a.b.c.d`.
pub fn parse(text: &str) -> Result<IpNet, NetworkError> {
    if text.contains(':') { v6(text) } else { v4(text).map(IpNet::V4) }
}

fn v6(text: &str) -> Result<IpNet, NetworkError> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: Ipv6Addr = address.trim().parse().map_err(|_| NetworkError::Unreadable)?;
    let length = match prefix.map(|prefix| number(prefix, 128)).transpose()? {
        None => 128,
        Some((length, is_plain)) => {
            let corrected = Ipv6Net::new(address, length).map_err(|_| NetworkError::Unreadable)?.trunc();
            if !is_plain {
                return Err(nearly("a prefix has a length of 0 to 128, without zeros before it", corrected));
            }
            length
        }
    };
    if text.contains(char::is_whitespace) {
        let corrected: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let corrected = parse(&corrected).map_or_else(|_| corrected, |network| network.to_string());
        return Err(nearly("there are blanks in it", corrected));
    }
    if let (Some(mapped), 96..) = (address.to_ipv4_mapped(), length) {
        let network = Ipv4Net::new(mapped, length - 96).map_err(|_| NetworkError::Unreadable)?;
        return whole(network.into());
    }
    let network = Ipv6Net::new(address, length).map_err(|_| NetworkError::Unreadable)?;
    whole(network.into())
}

/// Without bits behind its prefix.
fn whole(network: IpNet) -> Result<IpNet, NetworkError> {
    let trunc = network.trunc();
    if trunc == network { Ok(network) } else { Err(nearly("bits of the host are set", trunc)) }
}

/// A number in decimal, at most `most`; whether it was written plainly. What is too large becomes the largest.
fn number(text: &str, most: u8) -> Result<(u8, bool), NetworkError> {
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NetworkError::Unreadable);
    }
    let value: u32 = text.parse().map_err(|_| NetworkError::Unreadable)?;
    let is_plain = value <= u32::from(most) && (text == "0" || !text.starts_with('0'));
    Ok((u8::try_from(value).map_or(most, |value| value.min(most)), is_plain))
}

/// What looks like four numbers with dots between them: the address, and what is odd about how it is written.
fn dotted(text: &str) -> Result<(Ipv4Addr, Option<&'static str>), NetworkError> {
    let mut odd = None;
    let parts: Vec<&str> = text.split('.').collect();
    let named: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if named.len() != parts.len() {
        odd = Some("there is a stray dot");
    }
    let mut octets = [0; 4];
    if named.len() != octets.len() {
        return Err(NetworkError::Unreadable);
    }
    for (octet, part) in octets.iter_mut().zip(named) {
        let part = part.trim();
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NetworkError::Unreadable);
        }
        *octet = part.parse().map_err(|_| NetworkError::Unreadable)?;
        if part.len() > 1 && part.starts_with('0') {
            odd = Some("numbers are decimal, without zeros before them");
        }
    }
    Ok((octets.into(), odd))
}

fn v4(text: &str) -> Result<Ipv4Net, NetworkError> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let (address, mut odd) = dotted(address.trim())?;
    let length = match prefix.map(str::trim) {
        None => 32,
        Some(mask) if mask.contains('.') => {
            let (mask, odd_mask) = dotted(mask)?;
            odd = odd.or(odd_mask);
            let bits = u32::from(mask);
            if bits.leading_ones() + bits.trailing_zeros() < 32 && bits != 0 {
                return Err(NetworkError::Nearly {
                    why: "a mask is ones and then zeros",
                    corrected: format!("{address}/{}", bits.leading_ones()),
                });
            }
            bits.leading_ones() as u8
        }
        Some(prefix) => {
            let (length, is_plain) = number(prefix, 32)?;
            if !is_plain {
                odd = odd.or(Some("a prefix has a length of 0 to 32, without zeros before it"));
            }
            length
        }
    };
    let network = Ipv4Net::new(address, length).map_err(|_| NetworkError::Unreadable)?;
    let trunc = network.trunc();
    if text.contains(char::is_whitespace) {
        odd = odd.or(Some("there are blanks in it"));
    }
    match odd {
        Some(why) => Err(nearly(why, trunc)),
        None if trunc != network => Err(nearly("bits of the host are set", trunc)),
        None => Ok(network),
    }
}

/// Whether an address is in a network; `::ffff:a.b.c.d` is `a.b.c.d`.
pub fn contains(network: &IpNet, address: IpAddr) -> bool {
    network.contains(&address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_taken() {
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
            ("10.0.0.0/255.128.0.0", "10.0.0.0/9"),
            ("192.0.2.7/255.255.255.255", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("0.0.0.0/0.0.0.0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8::1", "2001:db8::1/128"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse(text).map(|network| network.to_string()).as_deref(), Ok(network), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_right_is_shown_right() {
        for (text, corrected) in [
            ("10.1.2.3/24", "10.1.2.0/24"),
            ("10.1.2.3/255.255.255.0", "10.1.2.0/24"),
            ("10.1.2.3/33", "10.1.2.3/32"),
            ("010.1.2.3", "10.1.2.3/32"),
            ("10.001.2.0/24", "10.1.2.0/24"),
            ("10.1.2.3.", "10.1.2.3/32"),
            ("10.1..2.3", "10.1.2.3/32"),
            ("10.1.2.0./24", "10.1.2.0/24"),
            ("10.1.2.0/024", "10.1.2.0/24"),
            (" 10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.0 / 24", "10.1.2.0/24"),
            ("10.1.2.0/255.0.255.0", "10.1.2.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("2001:db8::/129", "2001:db8::/128"),
            (" ::ffff:10.1.2.3", "10.1.2.3/32"),
            ("2001:db8:: /32", "2001:db8::/32"),
        ] {
            match parse(text) {
                Err(NetworkError::Nearly { corrected: shown, .. }) => assert_eq!(shown, corrected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_none_is_none() {
        for text in [
            "",
            "x",
            "10.1.2",
            "10.1.2.3.4",
            "10.1.2.256",
            "1e1.1.1.1",
            "10.1.2.3/",
            "10.1.2.3/x",
            "10.1.2.3/-1",
            "::g",
            "0x0a.1.2.3",
            "10.1.2.3/24/8",
            "١.1.1.1",
            "/",
            "10.1.2.3/999999",
        ] {
            assert_eq!(parse(text), Err(NetworkError::Unreadable), "{text}");
        }
    }
}
