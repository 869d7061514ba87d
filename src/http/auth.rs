//! Who is it? Bearer tokens, compared as hashes in constant time; a revocation holds at once.

use super::{
    codes::Code,
    problem::Problem,
    rates::{Rate, block},
};
use crate::{
    engine::{Engine, Failure},
    kernel::{Address, BoxId, OrgId, Principal, TokenId, UnixMillis},
    orgs::{ApiToken, Scope, Scopes},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::{fmt::Display, net::IpAddr};
use subtle::ConstantTimeEq;

pub const API_PREFIX: &str = "cas_";
pub const BOX_PREFIX: &str = "cbx_";

const ID_TEXT: usize = 26;
/// How much of a token names it and is no secret.
pub const PUBLIC_TEXT: usize = 4 + ID_TEXT + 1 + ID_TEXT;
const SECRET_TEXT: usize = 43;

/// Who sent a request, as far as the door knows.
#[derive(Debug, Clone, Copy)]
pub enum Caller {
    Nobody,
    Token {
        token: TokenId,
        org: OrgId,
        scopes: Scopes,
    },
    /// Read, not checked: the box's own machine compares the hash.
    Box(BoxToken),
    /// An account of a web store that administers it through its pages.
    Shopper(Address),
}

impl Caller {
    pub fn principal(&self) -> Principal {
        match self {
            Self::Nobody => Principal::Anonymous,
            Self::Token { token, org, .. } => Principal::Token(token.at(*org)),
            Self::Box(token) => Principal::Entity(token.address()),
            Self::Shopper(shopper) => Principal::Entity(*shopper),
        }
    }
}

/// What a SmartBox's token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxToken {
    pub org: OrgId,
    pub smart_box: BoxId,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
}

impl BoxToken {
    pub fn address(&self) -> Address {
        self.smart_box.at(self.org)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let parts = parse(text.strip_prefix(BOX_PREFIX)?)?;
        Some(Self { org: OrgId(parts.org), smart_box: BoxId(parts.id), hash: parts.hash })
    }
}

struct Parts {
    org: u128,
    id: u128,
    hash: [u8; 32],
}

fn parse(text: &str) -> Option<Parts> {
    // Three parts of fixed length; the secret may itself contain underscores.
    let (org, rest) = text.split_at_checked(ID_TEXT)?;
    let (id, secret) = rest.strip_prefix('_')?.split_at_checked(ID_TEXT)?;
    let secret = secret.strip_prefix('_')?;
    if secret.len() != SECRET_TEXT {
        return None;
    }
    let mut bytes = [0; 33];
    if URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes).ok()? != 32 {
        return None;
    }
    Some(Parts { org: raw_id(org)?, id: raw_id(id)?, hash: hash_of(&bytes[..32]) })
}

fn raw_id(text: &str) -> Option<u128> {
    crate::kernel::ids::from_text(text)
}

/// What is stored of a token's secret.
pub fn hash_of(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// A token as its owner sees it, once.
pub fn token_text(prefix: &str, org: OrgId, id: impl Display, secret: &[u8; 32]) -> String {
    let bare = |id: String| id.rsplit('_').next().unwrap_or_default().to_owned();
    format!("{prefix}{}_{}_{}", bare(org.to_string()), bare(id.to_string()), URL_SAFE_NO_PAD.encode(secret))
}

/// The bearer token of an `Authorization` header.
pub fn bearer(header: Option<&[u8]>) -> Result<&str, Problem> {
    let text = std::str::from_utf8(header.ok_or(Code::AuthMissing)?).map_err(|_| Code::AuthInvalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(Code::AuthInvalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::AuthInvalid.into());
    }
    Ok(token.trim())
}

/// Checks an API token against what its entity has published; also when it was last used, as far as that is written.
pub async fn caller(engine: &Engine, text: &str) -> Result<(Caller, Option<UnixMillis>), Problem> {
    let parts = text.strip_prefix(API_PREFIX).and_then(parse).ok_or(Code::AuthInvalid)?;
    let (org, token) = (OrgId(parts.org), TokenId(parts.id));
    let view = match engine.view::<ApiToken>(token.at(org)).await {
        Err(Failure::Gone) => return Err(Code::AuthInvalid.into()),
        view => view?,
    };
    // Compared all the same when there is no such token: an answer takes equally long.
    let right = bool::from(view.as_ref().map_or([0; 32], |view| view.hash).ct_eq(&parts.hash));
    let now = engine.clock().now();
    let view = view.filter(|view| right && !view.revoked && view.expires_at.is_none_or(|at| now < at));
    let view = view.ok_or(Code::AuthInvalid)?;
    Ok((Caller::Token { token, org, scopes: view.scopes }, view.last_used))
}

/// Whether the token that somebody came with is still one.
pub async fn still_holds(engine: &Engine, caller: &Caller) -> bool {
    let Caller::Token { token, org, .. } = caller else { return false };
    let now = engine.clock().now();
    match engine.view::<ApiToken>(token.at(*org)).await {
        Ok(view) => view.is_some_and(|view| !view.revoked && view.expires_at.is_none_or(|at| now < at)),
        // Nobody could look: the next time will tell.
        Err(_) => true,
    }
}

/// Whether a caller may use a route that wants one of these scopes; any token may if none is named.
pub fn allow(scopes: Scopes, wanted: &[Scope]) -> Result<(), Problem> {
    if wanted.is_empty() || wanted.iter().any(|scope| scopes.has(*scope)) {
        return Ok(());
    }
    let names: Vec<_> = wanted.iter().map(|scope| scope.name()).collect();
    Err(Problem::detailed(Code::Forbidden, format!("needs the scope {}", names.join(" or "))))
}

/// Counts failed authentications by source address.
pub struct FailureLimit(Rate);

impl FailureLimit {
    pub fn new(per_minute: u32, up_since: UnixMillis) -> Self {
        Self(Rate::new("failed-authentications", per_minute, up_since))
    }

    /// Counts one failure; what the caller is told about it.
    pub fn failed(&self, from: Option<IpAddr>, problem: Problem, now: UnixMillis) -> Problem {
        let Some(from) = from else { return problem };
        self.0.count(block(from), Code::TooManyFailures, now).err().unwrap_or(problem)
    }

    /// Forgets addresses that have been quiet.
    pub fn tidy(&self) {
        self.0.tidy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_what_was_written() {
        let secret = [0xfb; 32];
        let text = token_text(BOX_PREFIX, OrgId(5), BoxId(9), &secret);
        assert_eq!(text.len(), 4 + 26 + 1 + 26 + 1 + 43);
        let token = BoxToken::parse(&text).unwrap();
        assert_eq!(token, BoxToken { org: OrgId(5), smart_box: BoxId(9), hash: hash_of(&secret) });
        for at in 0..text.len() {
            let mut other = text.clone();
            other.replace_range(at..=at, if &text[at..=at] == "0" { "1" } else { "0" });
            assert_ne!(BoxToken::parse(&other), Some(token), "position {at}");
            assert_eq!(BoxToken::parse(&text[..at]), None);
        }
        assert_eq!(BoxToken::parse(&text.replace('0', "é")), None);
    }

    #[test]
    fn failures_are_counted_by_address() {
        let limit = FailureLimit::new(3, UnixMillis(0));
        let now = UnixMillis(100_000);
        let fail = |from: &str| limit.failed(Some(from.parse().unwrap()), Code::AuthInvalid.into(), now).code();
        for _ in 0..3 {
            assert_eq!(fail("10.0.0.1"), Code::AuthInvalid);
        }
        assert_eq!(fail("10.0.0.1"), Code::TooManyFailures);
        assert_eq!(fail("10.0.0.2"), Code::AuthInvalid);
        for host in 0..3 {
            assert_eq!(fail(&format!("2001:db8::{host}")), Code::AuthInvalid);
        }
        assert_eq!(fail("2001:db8::ffff"), Code::TooManyFailures, "one /64 is one source");
    }

    #[test]
    fn a_restart_leaves_a_tenth() {
        let limit = FailureLimit::new(30, UnixMillis(0));
        let from = Some("10.0.0.1".parse().unwrap());
        let codes: Vec<_> =
            (0..4).map(|_| limit.failed(from, Code::AuthInvalid.into(), UnixMillis(1)).code()).collect();
        assert_eq!(codes[2..], [Code::AuthInvalid, Code::TooManyFailures]);
    }
}
