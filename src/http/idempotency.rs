//! The same request twice is one change: its answer is stored in the record that made the change.

use super::{ask::Ask, codes::Code, problem::Problem};
use crate::{
    engine::{Committed, ReplayWrite},
    kernel::{KeyedHash, Machine, OrgId},
};
use sha2::{Digest, Sha256};

/// The longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 255;

/// What a request's `Idempotency-Key` comes to: caller, method, path and key in one hash, and the body's hash beside it.
#[derive(Debug, Clone, Copy)]
pub struct Idempotency {
    pub key: [u8; 32],
    pub body_hash: [u8; 32],
}

impl Idempotency {
    pub fn of(header: &[u8], principal: &[u8], method: &str, path: &str, body: &[u8]) -> Result<Self, Problem> {
        if header.is_empty() || header.len() > KEY_BYTES_MAX || !header.iter().all(|byte| (b' '..=b'~').contains(byte))
        {
            let detail = format!("Idempotency-Key must have 1 to {KEY_BYTES_MAX} printable ASCII characters");
            return Err(Problem::detailed(Code::Malformed, detail));
        }
        let mut key = Sha256::new();
        for part in [principal, method.as_bytes(), path.as_bytes(), header] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        Ok(Self { key: key.finalize().into(), body_hash: Sha256::digest(body).into() })
    }

    /// Of one row of many: the same row of the same request is the same change.
    pub fn of_row(base: &[u8; 32], row: usize, body: &[u8]) -> Self {
        let key = Sha256::new().chain_update(base).chain_update((row as u64).to_be_bytes()).finalize().into();
        Self { key, body_hash: Sha256::digest(body).into() }
    }
}

impl Ask {
    /// The revision that this request led to before, if it was answered before. All else in an answer follows from the
    /// request and its key, so that no secret is stored.
    pub async fn done_before(&self, org: OrgId) -> Result<Option<u64>, Problem> {
        let Some(idempotency) = &self.idempotency else { return Ok(None) };
        match self.engine.replay(org, idempotency.key).await? {
            None => Ok(None),
            Some(stored) if stored.body_hash != self.mark_of_body(idempotency) => Err(Code::OtherBody.into()),
            Some(stored) => {
                let (revision, tag) = stored.body.split_at_checked(8).ok_or(Code::Internal)?;
                let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
                self.shows_change(number(tag));
                number(revision).map(Some).ok_or_else(|| Code::Internal.into())
            }
        }
    }

    pub(super) fn to_replay<M: Machine>(&self) -> Option<ReplayWrite<M>> {
        let idempotency = self.idempotency.as_ref()?;
        let (key, body_hash) = (idempotency.key, self.mark_of_body(idempotency));
        Some(ReplayWrite { key, body_hash, render: revision_and_tag })
    }

    /// What is stored of the body. A plain hash of a short one, such as an access code, could be guessed from the disk.
    fn mark_of_body(&self, idempotency: &Idempotency) -> [u8; 32] {
        self.engine.keys().keyed_hash("http.body", &[&idempotency.body_hash])
    }

    /// An id for something that this request creates. A repeated request gets the same one.
    pub fn mint_id(&self, what: &str, row: usize) -> u128 {
        let bytes = self.mint_secret(what, row);
        bytes[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte))
    }

    /// A secret that only this server can make; a repeated request gets the same one.
    pub fn mint_secret(&self, what: &str, row: usize) -> [u8; 32] {
        match &self.idempotency {
            None => self.engine.chance().bytes(),
            Some(idempotency) => {
                let row = (row as u64).to_be_bytes();
                self.engine.keys().keyed_hash("http.mint", &[what.as_bytes(), &idempotency.key, &row])
            }
        }
    }
}

/// What is stored of an answer: all else in it follows from the request.
fn revision_and_tag<A>(told: &Committed<A>) -> (u16, Vec<u8>) {
    let mut bytes = told.revision.to_be_bytes().to_vec();
    bytes.extend(told.tag.map(u64::to_be_bytes).into_iter().flatten());
    (200, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let of = |header: &str, principal: &str, method, path| {
            Idempotency::of(header.as_bytes(), principal.as_bytes(), method, path, b"{}").unwrap().key
        };
        let key = of("k", "p", "POST", "/a");
        assert_eq!(key, of("k", "p", "POST", "/a"));
        for other in [
            of("x", "p", "POST", "/a"),
            of("k", "x", "POST", "/a"),
            of("k", "p", "PUT", "/a"),
            of("k", "p", "POST", "/x"),
            of("ak", "p", "POST", "/"),
        ] {
            assert_ne!(key, other);
        }
        assert!(Idempotency::of(b"", b"p", "POST", "/", b"").is_err());
        assert!(Idempotency::of(&[b'x'; 256], b"p", "POST", "/", b"").is_err());
    }
}
