//! How a phone proves itself: the client's side of HTTP Digest (RFC 7616) and Basic (RFC 7617).

use super::vendors::Proof;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};

/// A challenge of the kind that this phone understands; it is good for several requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    sha256: bool,
    /// Requests that were proved with it.
    count: u32,
}

/// The value of a parameter in a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    challenge.split(',').find_map(|part| {
        let part = part.trim();
        let part = part.split_once(' ').filter(|(scheme, _)| !scheme.contains('=')).map_or(part, |(_, rest)| rest);
        let (named, value) = part.split_once('=')?;
        named.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

impl Challenge {
    /// The one among a 401's that suits; nothing where there is none.
    pub fn choose(offered: &[String], proof: Proof) -> Option<Self> {
        let sha256 = match proof {
            Proof::DigestSha256 => true,
            Proof::DigestMd5 => false,
            Proof::Basic | Proof::Key => return None,
        };
        let suits = |challenge: &&String| {
            let algorithm = parameter(challenge, "algorithm").unwrap_or("MD5");
            challenge.starts_with("Digest ") && algorithm.eq_ignore_ascii_case(if sha256 { "SHA-256" } else { "MD5" })
        };
        let challenge = offered.iter().find(suits)?;
        let value = |name| parameter(challenge, name).map(str::to_owned);
        Some(Self { realm: value("realm")?, nonce: value("nonce")?, sha256, count: 0 })
    }

    /// The value of `Authorization` for the next request.
    pub fn answer(&mut self, user: &str, password: &str, method: &str, uri: &str) -> String {
        self.count += 1;
        let (count, client) = (format!("{:08x}", self.count), "5ccc069c403ebaf9");
        let response = self.response([user, password], [method, uri], [&count, client]);
        let Self { realm, nonce, sha256, .. } = self;
        let algorithm = if *sha256 { "SHA-256" } else { "MD5" };
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={algorithm}, \
             qop=auth, nc={count}, cnonce=\"{client}\", response=\"{response}\""
        )
    }

    fn response(&self, [user, password]: [&str; 2], [method, uri]: [&str; 2], [count, client]: [&str; 2]) -> String {
        let hash = |text: String| if self.sha256 { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
        let secret = hash(format!("{user}:{}:{password}", self.realm));
        let place = hash(format!("{method}:{uri}"));
        hash(format!("{secret}:{}:{count}:{client}:auth:{place}", self.nonce))
    }
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_chosen_and_counts_its_requests() {
        let offered = ["SHA-256", "MD5"].map(|algorithm| {
            format!("Digest realm=\"phones\", qop=\"auth\", algorithm={algorithm}, nonce=\"n1\", stale=true")
        });
        assert_eq!(Challenge::choose(&offered, Proof::Basic), None);
        assert_eq!(Challenge::choose(&offered[..1], Proof::DigestMd5), None);
        let mut challenge = Challenge::choose(&offered, Proof::DigestMd5).unwrap();
        assert_eq!((&*challenge.realm, &*challenge.nonce, challenge.sha256), ("phones", "n1", false));
        let first = challenge.answer("u", "p", "GET", "/a/b.cfg");
        assert!(first.contains("nc=00000001") && first.contains("uri=\"/a/b.cfg\""), "{first}");
        assert!(challenge.answer("u", "p", "GET", "/a/b.cfg").contains("nc=00000002"));
    }

    /// RFC 7616, 3.9.1.
    #[test]
    fn both_digests_are_the_rfcs_example() {
        for (sha256, response) in [
            (false, "8ca523f5e9506fed4657c9700eebdbec"),
            (true, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let (realm, nonce) = ("http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v");
            let challenge = Challenge { realm: realm.into(), nonce: nonce.into(), sha256, count: 0 };
            let client = ["00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"];
            let computed = challenge.response(["Mufasa", "Circle of Life"], ["GET", "/dir/index.html"], client);
            assert_eq!(computed, response);
        }
    }

    #[test]
    fn basic_is_the_rfcs_example() {
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
