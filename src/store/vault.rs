//! Sealed rows and keyed hashes. What people must read again is sealed under a key per subject, which is wrapped by the
//! master key: deleting the wrapped key erases the subject. The secret of a subject that has one and never another
//! stands alone, sealed by the master key itself, in the row where its key would stand (ADR 0032).

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
const WRAPPED_LATER: usize = 4 + WRAPPED;

/// What stands in the row of a subject's key.
enum KeyRow<'a> {
    /// The subject's key, wrapped by this version of the master key.
    Wrapped(u32, &'a [u8]),
    /// The subject's only secret, sealed by the master key itself: there is no key between them to be wrapped.
    Alone(u32, u8, &'a [u8]),
}

/// Before a secret that stands alone: how many bytes stand behind it, the master key's version, its field.
const ALONE_HEAD: usize = 1 + 4 + 1;

impl<'a> KeyRow<'a> {
    fn read(row: &'a [u8]) -> Option<Self> {
        match row.len() {
            WRAPPED => Some(Self::Wrapped(1, row)),
            WRAPPED_LATER => {
                row.split_first_chunk().map(|(version, rest)| Self::Wrapped(u32::from_be_bytes(*version), rest))
            }
            _ => {
                let (&[behind, version @ .., field], sealed) = row.split_first_chunk::<ALONE_HEAD>()?;
                let sealed = sealed.get(..sealed.len().checked_sub(usize::from(behind))?)?;
                Some(Self::Alone(u32::from_be_bytes(version), field, sealed))
            }
        }
    }

    /// A row as long as a wrapped key is one byte longer, so that its length tells what it is.
    fn alone(version: u32, field: u8, sealed: &[u8]) -> Vec<u8> {
        let behind = matches!(ALONE_HEAD + sealed.len(), WRAPPED | WRAPPED_LATER);
        [&[u8::from(behind)][..], &version.to_be_bytes(), &[field], sealed, &[0; 1][..usize::from(behind)]].concat()
    }

    fn version(&self) -> u32 {
        match self {
            Self::Wrapped(version, _) | Self::Alone(version, ..) => *version,
        }
    }
}

/// Which version of the master key wrapped a subject's key or the pepper, or sealed what stands in its place.
pub fn wrapped_by(wrapped: &[u8]) -> Option<u32> {
    KeyRow::read(wrapped).map(|row| row.version())
}

/// Whether the row holds a secret instead of a key.
pub fn stands_alone(row: &[u8]) -> bool {
    matches!(KeyRow::read(row), Some(KeyRow::Alone(..)))
}

fn master(masters: &MasterKeys, version: u32) -> Result<&Secret, StoreError> {
    masters.get(version).ok_or_else(|| StoreError::MissingMasterKey { version, known: masters.versions() })
}

/// Opens what the master key wrapped.
pub(super) fn unwrapped(masters: &MasterKeys, context: &[u8], wrapped: &[u8]) -> Result<Secret, StoreError> {
    let Some(KeyRow::Wrapped(version, sealed)) = KeyRow::read(wrapped) else {
        return Err(StoreError::Corrupt { what: "wrapped key", why: "its length".to_owned() });
    };
    open_with(master(masters, version)?, context, sealed)
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

    /// A subject's key, or what stands in its place, under the newest master key; `None` if it is already.
    pub fn rewrapped(&self, subject: Address, row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(KeyRow::Alone(version, field, sealed)) = KeyRow::read(row) else {
            return self.rewrapped_as(&subject.to_bytes(), row);
        };
        let (masters, context) = (self.masters(), context_of(subject, field));
        if version == masters.newest().0 {
            return Ok(None);
        }
        let plaintext = open_with(master(&masters, version)?, &context, sealed).ok_or(StoreError::WrongMasterKey)?;
        Ok(Some(self.alone(&masters, field, &context, &plaintext)))
    }

    fn alone(&self, masters: &MasterKeys, field: u8, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let (version, key) = masters.newest();
        KeyRow::alone(version, field, &self.seal_with(key, context, plaintext))
    }

    /// The row of a subject that has this secret and never another.
    pub fn seal_alone(&self, subject: Address, field: VaultField, plaintext: &[u8]) -> Vec<u8> {
        self.alone(&self.masters(), field as u8, &context(subject, field), plaintext)
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
        if let Some(KeyRow::Alone(version, field, sealed)) = KeyRow::read(&wrapped) {
            let asked = context_of(subject, field);
            if asked != context {
                return Ok(None);
            }
            let opened = open_with(master(&self.masters(), version)?, context, sealed);
            return opened.map(Some).ok_or_else(broken_seal);
        }
        let Some(sealed) = db.get(row)? else { return Ok(None) };
        let key = self.unwrap_subject_key(subject, &wrapped)?;
        open_with(&key, context, &sealed).map(Some).ok_or_else(broken_seal)
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

fn broken_seal() -> StoreError {
    StoreError::Corrupt { what: "vault row", why: "its seal does not hold".to_owned() }
}

fn pepper_of(db: &Db) -> Result<Vec<u8>, StoreError> {
    db.get(&keys::global(PEPPER))?.ok_or(StoreError::Corrupt { what: "pepper", why: "there is none".to_owned() })
}

fn keyed(pepper: &[u8]) -> Result<Hmac<Sha256>, StoreError> {
    <Hmac<Sha256> as Mac>::new_from_slice(pepper).map_err(|_| StoreError::WrongMasterKey)
}

fn context(subject: Address, field: VaultField) -> Vec<u8> {
    context_of(subject, field as u8)
}

fn context_of(subject: Address, field: u8) -> Vec<u8> {
    [&subject.to_bytes()[..], &[field]].concat()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{OrgId, SessionId},
        store::db::Options,
    };

    #[test]
    fn a_secret_that_stands_alone_is_never_taken_for_a_key_and_moves_to_a_new_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), Options::default(), true).unwrap();
        let chance = Chance::system();
        let masters = MasterKeys::first(&chance);
        let ring = Keyring::init(&db, masters.clone(), chance.clone()).unwrap();
        let (of, field) = (SessionId(1).at(OrgId(2)), VaultField::IuvAttributes);
        let row = keys::subject_key(db.partition_of(of.org), of);
        for length in 0..64 {
            let secret = vec![7; length];
            ring.set_masters(masters.clone());
            let alone = ring.seal_alone(of, field, &secret);
            assert!(stands_alone(&alone) && wrapped_by(&alone) == Some(1), "{length}");
            assert_eq!(ring.rewrapped(of, &alone).unwrap(), None);
            assert!(ring.unwrap_subject_key(of, &alone).is_err());
            let both = masters.with_next(&chance);
            ring.set_masters(both.clone());
            let later = ring.rewrapped(of, &alone).unwrap().unwrap();
            assert!(stands_alone(&later) && wrapped_by(&later) == Some(2), "{length}");
            ring.set_masters(both.only_newest());
            assert!(matches!(ring.rewrapped(of, &alone), Err(StoreError::MissingMasterKey { version: 1, .. })));
            db.raw_put(&row, &later);
            assert_eq!(*ring.read(&db, of, field).unwrap().unwrap(), secret);
            assert_eq!(ring.read(&db, of, VaultField::Profile).unwrap(), None);
            let mut forged = later.clone();
            let middle = forged.len() / 2;
            forged[middle] ^= 1;
            db.raw_put(&row, &forged);
            assert!(ring.read(&db, of, field).is_err(), "{length}");
        }
        let (_, wrapped) = ring.new_subject_key(of);
        assert!(!stands_alone(&wrapped) && wrapped_by(&wrapped) == Some(2));
    }
}
