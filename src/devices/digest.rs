//! How a phone shows its credential: HTTP Digest (RFC 7616) with SHA-256 or, for old phones, MD5; Basic (RFC 7617); or a
//! part of the path.

use crate::kernel::{KeyedHash, OrgId, UnixMillis};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub const REALM: &str = "phones";
/// Where the person at the phone is asked; phones show it.
pub const PAP_REALM: &str = "PAP";
/// How long a nonce is taken; afterwards the phone gets another and asks again.
pub const NONCE_LIVES: Duration = Duration::from_secs(300);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A nonce that this server knows again without having kept it: when it was made, chance, and a seal over both.
pub fn nonce(keys: &dyn KeyedHash, org: OrgId, now: UnixMillis, chance: [u8; 32]) -> String {
    let mut drawn = [0; 8];
    drawn.copy_from_slice(&chance[..8]);
    sealed(keys, org, now, u64::from_be_bytes(drawn))
}

fn sealed(keys: &dyn KeyedHash, org: OrgId, at: UnixMillis, drawn: u64) -> String {
    let seal = keys.keyed_hash("devices.nonce", &[&org.to_bytes(), &at.0.to_be_bytes(), &drawn.to_be_bytes()]);
    format!("{:016x}{drawn:016x}{}", at.0, hex(&seal[..16]))
}

/// When it was made, and its number: if it is ours and still taken.
fn fresh(keys: &dyn KeyedHash, org: OrgId, text: &str, now: UnixMillis) -> Option<(UnixMillis, u128)> {
    let number = |from: usize| text.get(from..from + 16).and_then(|part| u64::from_str_radix(part, 16).ok());
    let (at, drawn) = (UnixMillis(number(0)?), number(16)?);
    let is_ours = bool::from(sealed(keys, org, at, drawn).as_bytes().ct_eq(text.as_bytes()));
    let seal = u128::from_str_radix(text.get(32..)?, 16).ok()?;
    (is_ours && at <= now && now < at.plus(NONCE_LIVES)).then_some((at, seal))
}

/// One use of a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub made: UnixMillis,
    pub nonce: u128,
    /// The phone's count of its requests with this nonce; 0 where it does not count, and may use it once.
    pub count: u32,
}

/// The values of `WWW-Authenticate`, the one that we would rather have first.
pub fn challenges(realm: &str, nonce: &str, stale: bool, basic: bool) -> Vec<String> {
    let stale = if stale { ", stale=true" } else { "" };
    let digest = |algorithm: &str| {
        format!("Digest realm=\"{realm}\", qop=\"auth\", algorithm={algorithm}, nonce=\"{nonce}\"{stale}")
    };
    let mut challenges = vec![digest("SHA-256"), digest("MD5")];
    if basic {
        challenges.push(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
    }
    challenges
}

/// What came with a request.
pub enum Shown<'a> {
    Nothing,
    /// As a part of the path.
    Key(&'a str),
    Basic {
        user: String,
        password: Zeroizing<String>,
    },
    Digest(Response<'a>),
    /// Its nonce is too old, or not ours: the phone may try again.
    Stale,
    /// Not to be read, or not allowed here.
    Unusable,
}

/// A digest, as far as it must be computed anew.
pub struct Response<'a> {
    fields: BTreeMap<String, String>,
    method: &'a str,
    sha256: bool,
    /// Which one it is.
    pub once: Use,
}

/// What a request says besides its `Authorization`.
pub struct Request<'a> {
    pub method: &'a str,
    /// Path and query as they were sent.
    pub target: &'a str,
    pub basic_allowed: bool,
}

impl<'a> Shown<'a> {
    pub fn read(
        header: Option<&[u8]>,
        request: &Request<'a>,
        keys: &dyn KeyedHash,
        org: OrgId,
        now: UnixMillis,
    ) -> Self {
        let Some(header) = header else { return Self::Nothing };
        let Ok(text) = std::str::from_utf8(header) else { return Self::Unusable };
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            let plain = STANDARD.decode(rest.trim()).ok().map(Zeroizing::new);
            let plain = plain.as_ref().and_then(|plain| std::str::from_utf8(plain).ok());
            return match plain.and_then(|plain| plain.split_once(':')) {
                Some((user, password)) if request.basic_allowed => {
                    Self::Basic { user: user.to_owned(), password: password.to_owned().into() }
                }
                _ => Self::Unusable,
            };
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return Self::Unusable;
        }
        let Some(fields) = fields(rest) else { return Self::Unusable };
        let get = |name: &str| fields.get(name).map(String::as_str);
        let sha256 = match get("algorithm") {
            None => false,
            Some(name) if name.eq_ignore_ascii_case("md5") => false,
            Some(name) if name.eq_ignore_ascii_case("sha-256") => true,
            Some(_) => return Self::Unusable,
        };
        let bare = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        // Some phones leave the query out, some name the whole address.
        let same_place = get("uri").is_some_and(|uri| bare(uri).ends_with(&bare(request.target)));
        let right_kind = matches!(get("realm"), Some(REALM | PAP_REALM)) && get("qop").is_none_or(|qop| qop == "auth");
        if !same_place || !right_kind {
            return Self::Unusable;
        }
        let Some((made, nonce)) = get("nonce").and_then(|text| fresh(keys, org, text, now)) else { return Self::Stale };
        let count = match get("qop") {
            None => Some(0),
            Some(_) => get("nc").filter(|count| count.len() <= 8).and_then(|count| u32::from_str_radix(count, 16).ok()),
        };
        let Some(count) = count else { return Self::Unusable };
        Self::Digest(Response { fields, method: request.method, sha256, once: Use { made, nonce, count } })
    }

    /// Whether this user and password were meant.
    pub fn proves(&self, user: &str, password: &str) -> bool {
        match self {
            Self::Nothing | Self::Stale | Self::Unusable => false,
            Self::Key(key) => key.as_bytes().ct_eq(password.as_bytes()).into(),
            Self::Basic { user: shown, password: given } => {
                shown.eq_ignore_ascii_case(user) && bool::from(given.as_bytes().ct_eq(password.as_bytes()))
            }
            Self::Digest(response) => response.proves(user, password),
        }
    }
}

impl Response<'_> {
    /// What was computed, where the person at this phone was asked for its PAP.
    pub fn of_person(&self, user: &str) -> Option<&str> {
        let is_asked = self.get("realm") == PAP_REALM && self.get("username").eq_ignore_ascii_case(user);
        is_asked.then(|| self.get("response"))
    }

    fn get(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    fn hash(&self, text: &str) -> String {
        if self.sha256 { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) }
    }

    pub fn proves(&self, user: &str, password: &str) -> bool {
        let shown = self.get("username");
        let secret = Zeroizing::new(self.hash(&Zeroizing::new(format!("{shown}:{}:{password}", self.get("realm")))));
        let place = self.hash(&format!("{}:{}", self.method, self.get("uri")));
        let nonce = self.get("nonce");
        let wanted = match self.fields.get("qop") {
            Some(qop) => {
                let (count, client) = (self.get("nc"), self.get("cnonce"));
                self.hash(&format!("{}:{nonce}:{count}:{client}:{qop}:{place}", secret.as_str()))
            }
            None => self.hash(&format!("{}:{nonce}:{place}", secret.as_str())),
        };
        let given = self.get("response").to_ascii_lowercase();
        shown.eq_ignore_ascii_case(user) && bool::from(given.as_bytes().ct_eq(wanted.as_bytes()))
    }
}

/// `name=value` and `name="value"`, with commas between them.
fn fields(text: &str) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let mut value = String::new();
        let behind = behind.trim_start();
        rest = if let Some(quoted) = behind.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            loop {
                match characters.next()? {
                    (at, '"') => break &quoted[at + 1..],
                    (_, '\\') => value.push(characters.next()?.1),
                    (_, other) => value.push(other),
                }
            }
        } else {
            let end = behind.find(',').unwrap_or(behind.len());
            value.push_str(behind[..end].trim());
            &behind[end..]
        };
        if fields.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').or(rest.is_empty().then_some(""))?.trim_start();
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys;
    impl KeyedHash for Keys {
        fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
            parts.iter().fold(Sha256::new().chain_update(purpose), Sha256::chain_update).finalize().into()
        }
    }

    const ORG: OrgId = OrgId(7);
    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn read<'a>(header: &str, target: &'a str, now: UnixMillis) -> Shown<'a> {
        let request = Request { method: "GET", target, basic_allowed: false };
        Shown::read(Some(header.as_bytes()), &request, &Keys, ORG, now)
    }

    /// The example of RFC 7616, 3.9.1: what this computes is what others compute.
    #[test]
    fn both_hashes_are_those_of_the_rfc() {
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let text = format!(
                "username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\""
            );
            let once = Use { made: NOW, nonce: 0, count: 1 };
            let told = Response { fields: fields(&text).unwrap(), method: "GET", sha256: algorithm != "MD5", once };
            let realm = told.get("realm").to_owned();
            let secret = told.hash(&format!("Mufasa:{realm}:Circle of Life"));
            let place = told.hash(&format!("GET:{}", told.get("uri")));
            let wanted = told.hash(&format!(
                "{secret}:{}:{}:{}:auth:{place}",
                told.get("nonce"),
                told.get("nc"),
                told.get("cnonce")
            ));
            assert_eq!(wanted, response, "{algorithm}");
        }
    }

    fn digest(password: &str, uri: &str, nonce: &str) -> String {
        let hash = |text: String| hex(&Md5::digest(text));
        let secret = hash(format!("000413abcdef:{REALM}:{password}"));
        let response = hash(format!("{secret}:{nonce}:00000001:c:auth:{}", hash(format!("GET:{uri}"))));
        format!(
            "Digest username=\"000413ABCDEF\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", qop=auth, nc=00000001, \
             cnonce=\"c\", response=\"{response}\""
        )
        .replace("000413ABCDEF", "000413abcdef")
    }

    #[test]
    fn a_digest_proves_its_password_at_its_place_for_a_while() {
        let fresh = nonce(&Keys, ORG, NOW, [1; 32]);
        assert_ne!(fresh, nonce(&Keys, ORG, NOW, [2; 32]), "two phones that come together");
        let header = digest("secret", "/p/auth/x.cfg?mac=1", &fresh);
        let proves = |shown: Shown<'_>, password: &str| shown.proves("000413abcdef", password);
        assert!(proves(read(&header, "/p/auth/x.cfg?mac=1", NOW), "secret"));
        assert!(!proves(read(&header, "/p/auth/x.cfg", NOW), "Secret"));
        assert!(matches!(read(&header, "/p/auth/y.cfg", NOW), Shown::Unusable), "another place");
        assert!(matches!(read(&header, "/p/auth/x.cfg", NOW.plus(NONCE_LIVES)), Shown::Stale));
        let of_others = digest("secret", "/p/auth/x.cfg", &nonce(&Keys, OrgId(8), NOW, [1; 32]));
        assert!(matches!(read(&of_others, "/p/auth/x.cfg", NOW), Shown::Stale));
        for (count, right) in [("0000000f", Some(15)), ("f", Some(15)), ("", None), ("000000001", None), ("x", None)] {
            let header = header.replace("nc=00000001", &format!("nc={count}"));
            let shown = read(&header, "/p/auth/x.cfg", NOW);
            let taken = if let Shown::Digest(response) = shown { Some(response.once.count) } else { None };
            assert_eq!(taken, right, "{count}");
        }
    }

    #[test]
    fn basic_is_taken_only_where_it_may_and_rubbish_never() {
        let header = format!("Basic {}", STANDARD.encode("000413abcdef:secret"));
        assert!(matches!(read(&header, "/", NOW), Shown::Unusable));
        let request = Request { method: "GET", target: "/", basic_allowed: true };
        let shown = Shown::read(Some(header.as_bytes()), &request, &Keys, ORG, NOW);
        assert!(shown.proves("000413abcdef", "secret") && !shown.proves("000413abcdee", "secret"));
        for rubbish in
            ["", "Basic", "Basic !", "Digest", "Digest x", "Digest a=\"", "Digest a=1, a=2", "Bearer x", "Digest =,"]
        {
            assert!(!read(rubbish, "/", NOW).proves("", ""), "{rubbish}");
        }
        assert!(Shown::Key("abc").proves("any", "abc") && !Shown::Key("").proves("any", "abc"));
    }
}
