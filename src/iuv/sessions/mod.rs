//! IUV sessions: one actor each. Whoever asks waits until what he is told is durable.

pub mod api;
mod check;
mod decide;
mod evolve;
pub mod state;
#[cfg(test)]
mod tests;

pub use check::check_invariants;
pub use state::{IuvSession, Pass};

use super::words::{Attributes, Side, VerificationKind};
use crate::{
    engine::{Engine, Failure},
    http::{Ask, Code, Problem, auth::hash_of},
    kernel::{Address, Codec, OrgId, SessionId, ShopperId, StoreId, UnixMillis, VaultField},
    store::StoreError,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use state::{Command, Refusal};
use std::{convert::Infallible, time::Duration};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Somebody who is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    pub org: OrgId,
    pub store: StoreId,
    pub shopper: ShopperId,
    pub session: SessionId,
    pub side: Side,
    pub kind: VerificationKind,
    /// When he came in, as far as it is known.
    pub since: Option<UnixMillis>,
}

impl Visitor {
    pub fn address(&self) -> Address {
        self.session.at(self.org)
    }
}

/// What a browser keeps: organisation, session, secret.
const COOKIE_BYTES: usize = 16 + 16 + 32;

/// The value of a session's cookie.
pub fn cookie(session: Address, secret: &[u8; 32]) -> String {
    let mut bytes = Zeroizing::new([0; COOKIE_BYTES]);
    bytes[..16].copy_from_slice(&session.org.to_bytes());
    bytes[16..32].copy_from_slice(&session.entity.raw.to_be_bytes());
    bytes[32..].copy_from_slice(secret);
    URL_SAFE_NO_PAD.encode(bytes.as_slice())
}

fn read_cookie(text: &str) -> Option<(Address, [u8; 32])> {
    let mut bytes = Zeroizing::new([0; COOKIE_BYTES + 2]);
    if URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()? != COOKIE_BYTES {
        return None;
    }
    let session = SessionId::from_bytes(&bytes[16..32])?.at(OrgId::from_bytes(&bytes[..16])?);
    Some((session, hash_of(&bytes[32..COOKIE_BYTES])))
}

/// Who shows this cookie, if he is in.
pub async fn who(engine: &Engine, cookie: &str) -> Result<Option<Visitor>, Failure<Infallible>> {
    let Some((address, hash)) = read_cookie(cookie) else { return Ok(None) };
    let now = engine.clock().now();
    let read = move |session: &IuvSession, _| {
        let signed_in = session.signed_in(now)?;
        bool::from(signed_in.secret.ct_eq(&hash)).then_some((signed_in.pass, signed_in.since))
    };
    let found = match engine.read::<IuvSession, _>(address, read).await {
        Err(Failure::Gone) => None,
        found => found?,
    };
    Ok(found.map(|(pass, since)| Visitor {
        org: address.org,
        store: pass.store,
        shopper: pass.shopper,
        session: SessionId(address.entity.raw),
        side: pass.side,
        kind: pass.kind,
        since,
    }))
}

/// What was told of whoever is in, until the session is over.
pub async fn attributes_of(ask: &Ask, visitor: &Visitor) -> Result<Option<Attributes>, Problem> {
    let plain = ask.engine.open_vault(visitor.address(), VaultField::IuvAttributes).await?;
    let read = plain.map(|plain| Attributes::decode_from(&plain)).transpose();
    Ok(read.map_err(|why| StoreError::Corrupt { what: "session's attributes", why })?)
}

/// Lets somebody in by another kind than IUV; the value of his cookie.
pub async fn open(
    ask: &Ask,
    org: OrgId,
    pass: Pass,
    attributes: &Attributes,
    lasts: Duration,
) -> Result<String, Problem> {
    let (session, secret) = (SessionId(ask.engine.chance().id()).at(org), ask.engine.chance().bytes());
    let attributes = Zeroizing::new(attributes.to_bytes());
    let command = Command::Open { pass, secret: hash_of(&secret), lasts, attributes };
    ask.tell::<IuvSession>(session, command, refused).await?;
    Ok(cookie(session, &secret))
}

/// Ends a session. What it was is over at once.
pub async fn sign_out(ask: &Ask, visitor: &Visitor) -> Result<(), Problem> {
    ask.tell::<IuvSession>(visitor.address(), Command::SignOut, refused).await.map(drop)
}

pub(in crate::iuv) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
    }
}
