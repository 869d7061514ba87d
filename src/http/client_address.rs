//! From which address a request comes. A header is believed only from a proxy that the configuration names, and only as
//! far as the chain of named proxies reaches, from the right: everything further left was written by a stranger.

use actix_web::{
    HttpRequest,
    http::header::{HeaderMap, HeaderName},
};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// A longer chain of proxies than anybody has.
const HOPS_MAX: usize = 16;

pub(super) fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    Some(behind_proxies(peer, request.headers(), trusted))
}

/// Whether the client spoke TLS: with us, or with a proxy that the configuration names and that says so.
pub(super) fn is_over_tls(request: &HttpRequest, with_us: bool, trusted: &[IpNet]) -> bool {
    if with_us {
        return true;
    }
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let by_proxy = peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(&peer)));
    // What the nearest proxy has added stands last.
    let said = request.headers().get_all(X_FORWARDED_PROTO).last().and_then(|line| line.to_str().ok());
    by_proxy && said.and_then(|line| line.rsplit(',').next()).is_some_and(|it| it.trim().eq_ignore_ascii_case("https"))
}

fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).collect();
    let mut nearest = peer;
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        // What cannot be read was not written by a proxy of ours: the one that passed it on is the nearest known.
        let Some(address) = read(hop.trim()) else { return nearest };
        nearest = address;
        if !is_trusted(&address) {
            return address;
        }
    }
    nearest
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
fn read(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn from(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_he_is() {
        assert_eq!(from("198.51.100.9", &["192.0.2.1"], &[]), "198.51.100.9");
        assert_eq!(from("198.51.100.9", &["192.0.2.1"], &["10.0.0.0/8"]), "198.51.100.9");
    }

    #[test]
    fn the_chain_is_believed_from_the_right_as_far_as_it_is_ours() {
        let ours = ["10.0.0.0/8", "2001:db8:1::/48"];
        assert_eq!(from("10.0.0.1", &["192.0.2.1"], &ours), "192.0.2.1");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 192.0.2.1, 10.0.0.2"], &ours), "192.0.2.1");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 192.0.2.1", "10.0.0.2"], &ours), "192.0.2.1", "lines are one list");
        assert_eq!(from("2001:db8:1::5", &["[2001:db8:2::7]:443"], &ours), "2001:db8:2::7");
        assert_eq!(from("10.0.0.1", &["192.0.2.1:5060"], &ours), "192.0.2.1");
    }

    #[test]
    fn without_a_word_or_with_rubbish_the_nearest_known_counts() {
        let ours = ["10.0.0.0/8"];
        assert_eq!(from("10.0.0.1", &[], &ours), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["unknown"], &ours), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["192.0.2.1, rubbish, 10.0.0.2"], &ours), "10.0.0.2");
        assert_eq!(from("10.0.0.1", &[""], &ours), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &ours), "10.0.0.3", "all ours: the first of them");
    }

    #[test]
    fn mapped_addresses_are_what_they_mean() {
        assert_eq!(from("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], &["10.0.0.0/8"]), "::ffff:10.0.0.1");
        assert_eq!(from("10.0.0.1", &["::ffff:192.0.2.1"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn a_chain_without_end_ends() {
        let long = vec!["10.0.0.2"; 4000].join(",");
        assert_eq!(from("10.0.0.1", &[&long], &["10.0.0.0/8"]), "10.0.0.2");
    }
}
