//! Sealed rows and keyed hashes. What people must read again is sealed under a key per subject, which is wrapped by the
//! master key: deleting the wrapped key erases the subject.

use super::{Db, MasterKeys, StoreError, keys};
use crate::kernel::{Address, Chance, VaultField, machine::KeyedHash};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use parking_lot::RwLock;
use sha2::Sha256;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key of 256 bits, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// The master key and the pepper that it seals. The pepper never changes, so that what was hashed stays comparable.
pub struct Keyring {
    masters: RwLock<Arc<MasterKeys>>,
    /// Keyed with the pepper, ready to be cloned for each use.
    mac: Hmac<Sha256>,
    chance: Chance,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

pub(super) const PEPPER: &str = "pepper";

const NONCE: usize = 24;
/// Of a wrapped key, which is 32 bytes: nonce, key, tag. Those of a later version than the first have its number before.
const WRAPPED: usize = NONCE + 32 + 16;

/// Which version of the master key wrapped this, and what is wrapped.
fn wrapping(wrapped: &[u8]) -> Option<(u32, &[u8])> {
    match wrapped.len().checked_sub(WRAPPED)? {
        0 => Some((1, wrapped)),
        _ => wrapped.split_first_chunk().map(|(version, rest)| (u32::from_be_bytes(*version), rest)),
    }
}

/// Which version of the master key wrapped a subject's key or the pepper.
pub fn wrapped_by(wrapped: &[u8]) -> Option<u32> {
    wrapping(wrapped).map(|(version, _)| version)
}

/// Opens what the master key wrapped.
pub(super) fn unwrapped(masters: &MasterKeys, context: &[u8], wrapped: &[u8]) -> Result<Secret, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "wrapped key", why: "its length".to_owned() };
    let (version, sealed) = wrapping(wrapped).ok_or_else(corrupt)?;
    let master = masters.get(version).ok_or(StoreError::MissingMasterKey { version, known: masters.versions() })?;
    open_with(master, context, sealed)
        .and_then(|key| key.as_slice().try_into().ok().map(Zeroizing::new))
        .ok_or(StoreError::WrongMasterKey)
}

impl Keyring {
    /// Draws and stores the pepper of a new data folder.
    pub fn init(db: &Db, masters: MasterKeys, chance: Chance) -> Result<Self, StoreError> {
        let pepper = Zeroizing::new(chance.bytes());
        let ring = Self { masters: RwLock::new(Arc::new(masters)), mac: keyed(&*pepper)?, chance };
        db.put_global(PEPPER, &ring.wrapped(&ring.masters(), PEPPER.as_bytes(), &pepper))?;
        Ok(ring)
    }

    pub fn open(db: &Db, masters: MasterKeys, chance: Chance) -> Result<Self, StoreError> {
        let pepper = unwrapped(&masters, PEPPER.as_bytes(), &pepper_of(db)?)?;
        Ok(Self { masters: RwLock::new(Arc::new(masters)), mac: keyed(&*pepper)?, chance })
    }

    /// The versions of the master key in force.
    pub fn masters(&self) -> Arc<MasterKeys> {
        Arc::clone(&self.masters.read())
    }

    /// Other versions from now on. What is written next is wrapped by the newest of them.
    pub fn set_masters(&self, masters: MasterKeys) {
        *self.masters.write() = Arc::new(masters);
    }

    fn wrapped(&self, masters: &MasterKeys, context: &[u8], key: &Secret) -> Vec<u8> {
        let (version, master) = masters.newest();
        let sealed = self.seal_with(master, context, &**key);
        if version == 1 { sealed } else { [&version.to_be_bytes()[..], &sealed].concat() }
    }

    /// A subject's key wrapped by the newest master key; `None` if it is already.
    pub fn rewrapped(&self, subject: Address, wrapped: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rewrapped_as(&subject.to_bytes(), wrapped)
    }

    fn rewrapped_as(&self, context: &[u8], wrapped: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let masters = self.masters();
        if wrapped_by(wrapped) == Some(masters.newest().0) {
            return Ok(None);
        }
        let key = unwrapped(&masters, context, wrapped)?;
        Ok(Some(self.wrapped(&masters, context, &key)))
    }

    /// Seals the pepper with the newest master key; whether it was not yet.
    pub fn rewrap_pepper(&self, db: &Db) -> Result<bool, StoreError> {
        match self.rewrapped_as(PEPPER.as_bytes(), &pepper_of(db)?)? {
            Some(rewrapped) => db.put_global(PEPPER, &rewrapped).map(|()| true),
            None => Ok(false),
        }
    }

    fn seal_with(&self, key: &Secret, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = &self.chance.bytes()[..NONCE];
        let cipher = XChaCha20Poly1305::new((&**key).into());
        let sealed = cipher.encrypt(XNonce::from_slice(nonce), Payload { msg: plaintext, aad: context });
        // Encrypting fails only beyond 256 GiB.
        [nonce, &sealed.unwrap_or_default()].concat()
    }

    /// A new subject's key and the bytes to store for it.
    pub fn new_subject_key(&self, subject: Address) -> (Secret, Vec<u8>) {
        let key = Zeroizing::new(self.chance.bytes());
        let wrapped = self.wrapped(&self.masters(), &subject.to_bytes(), &key);
        (key, wrapped)
    }

    pub fn unwrap_subject_key(&self, subject: Address, wrapped: &[u8]) -> Result<Secret, StoreError> {
        unwrapped(&self.masters(), &subject.to_bytes(), wrapped)
    }

    pub fn seal(&self, key: &Secret, subject: Address, field: VaultField, plaintext: &[u8]) -> Vec<u8> {
        self.seal_with(key, &context(subject, field), plaintext)
    }

    /// One of many of a kind.
    pub fn seal_numbered(
        &self,
        key: &Secret,
        subject: Address,
        (field, number): (VaultField, u64),
        plaintext: &[u8],
    ) -> Vec<u8> {
        self.seal_with(key, &numbered_context(subject, field, number), plaintext)
    }

    /// Opens a sealed row; `None` if there is none or the subject has been erased.
    pub fn read(&self, db: &Db, subject: Address, field: VaultField) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let row = keys::vault(db.partition_of(subject.org), subject, field);
        self.read_row(db, subject, &row, &context(subject, field))
    }

    /// The same of one of many.
    pub fn read_numbered(
        &self,
        db: &Db,
        subject: Address,
        field: VaultField,
        number: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let row = keys::vault_numbered(db.partition_of(subject.org), subject, field, number);
        self.read_row(db, subject, &row, &numbered_context(subject, field, number))
    }

    fn read_row(
        &self,
        db: &Db,
        subject: Address,
        row: &[u8],
        context: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let partition = db.partition_of(subject.org);
        let Some(wrapped) = db.get(&keys::subject_key(partition, subject))? else { return Ok(None) };
        let Some(sealed) = db.get(row)? else { return Ok(None) };
        let key = self.unwrap_subject_key(subject, &wrapped)?;
        open_with(&key, context, &sealed)
            .map(Some)
            .ok_or_else(|| StoreError::Corrupt { what: "vault row", why: "its seal does not hold".to_owned() })
    }
}

impl KeyedHash for Keyring {
    /// HMAC-SHA256 over the purpose and the parts, each with its length before it.
    fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn pepper_of(db: &Db) -> Result<Vec<u8>, StoreError> {
    db.get(&keys::global(PEPPER))?.ok_or(StoreError::Corrupt { what: "pepper", why: "there is none".to_owned() })
}

fn keyed(pepper: &[u8]) -> Result<Hmac<Sha256>, StoreError> {
    <Hmac<Sha256> as Mac>::new_from_slice(pepper).map_err(|_| StoreError::WrongMasterKey)
}

fn context(subject: Address, field: VaultField) -> Vec<u8> {
    [&subject.to_bytes()[..], &[field as u8]].concat()
}

fn numbered_context(subject: Address, field: VaultField, number: u64) -> Vec<u8> {
    [&context(subject, field)[..], &number.to_be_bytes()].concat()
}

fn open_with(key: &Secret, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let opened = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context });
    opened.ok().map(Zeroizing::new)
}
