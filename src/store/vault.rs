//! Sealed rows and keyed hashes. What people must read again is sealed under a key per subject, which is wrapped by the
//! master key: deleting the wrapped key erases the subject.

use super::{Db, StoreError, keys};
use crate::kernel::{Address, Chance, VaultField, machine::KeyedHash};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::path::Path;
use zeroize::Zeroizing;

/// A key of 256 bits, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// The master key and the pepper that it seals. The pepper never changes, so that what was hashed stays comparable.
pub struct Keyring {
    master: Secret,
    /// Keyed with the pepper, ready to be cloned for each use.
    mac: Hmac<Sha256>,
    chance: Chance,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

const PEPPER: &str = "pepper";

impl Keyring {
    /// Makes the master key file (mode 0600, must not exist).
    pub fn create_master_key(file: &Path, chance: &Chance) -> Result<(), StoreError> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        let hex: String = chance.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "{hex}")?;
        Ok(file.sync_all()?)
    }

    /// Reads the master key: 64 hexadecimal digits.
    pub fn read_master_key(file: &Path) -> Result<Secret, StoreError> {
        let text = Zeroizing::new(std::fs::read_to_string(file)?);
        parse_hex(text.trim()).ok_or_else(|| {
            StoreError::Io(std::io::Error::other(format!("{} must hold 64 hexadecimal digits", file.display())))
        })
    }

    /// Draws and stores the pepper of a new data folder.
    pub fn init(db: &Db, master: Secret, chance: Chance) -> Result<Self, StoreError> {
        let pepper = Zeroizing::new(chance.bytes());
        let ring = Self { master, mac: keyed(&*pepper)?, chance };
        let sealed = ring.seal_with(&ring.master, PEPPER.as_bytes(), &*pepper);
        db.put_global(PEPPER, &sealed)?;
        Ok(ring)
    }

    pub fn open(db: &Db, master: Secret, chance: Chance) -> Result<Self, StoreError> {
        let sealed = db
            .get(&keys::global(PEPPER))?
            .ok_or(StoreError::Corrupt { what: "pepper", why: "there is none".to_owned() })?;
        let pepper = open_with(&master, PEPPER.as_bytes(), &sealed).ok_or(StoreError::WrongMasterKey)?;
        Ok(Self { master, mac: keyed(&pepper)?, chance })
    }

    fn seal_with(&self, key: &Secret, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = &self.chance.bytes()[..24];
        let cipher = XChaCha20Poly1305::new((&**key).into());
        let sealed = cipher.encrypt(XNonce::from_slice(nonce), Payload { msg: plaintext, aad: context });
        // Encrypting fails only beyond 256 GiB.
        [nonce, &sealed.unwrap_or_default()].concat()
    }

    /// A new subject's key and the bytes to store for it.
    pub fn new_subject_key(&self, subject: Address) -> (Secret, Vec<u8>) {
        let key = Zeroizing::new(self.chance.bytes());
        let wrapped = self.seal_with(&self.master, &subject.to_bytes(), &*key);
        (key, wrapped)
    }

    pub fn unwrap_subject_key(&self, subject: Address, wrapped: &[u8]) -> Result<Secret, StoreError> {
        open_with(&self.master, &subject.to_bytes(), wrapped)
            .and_then(|key| key.as_slice().try_into().ok().map(Zeroizing::new))
            .ok_or(StoreError::WrongMasterKey)
    }

    pub fn seal(&self, key: &Secret, subject: Address, field: VaultField, plaintext: &[u8]) -> Vec<u8> {
        self.seal_with(key, &context(subject, field), plaintext)
    }

    /// Opens a sealed row; `None` if there is none or the subject has been erased.
    pub fn read(&self, db: &Db, subject: Address, field: VaultField) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let partition = db.partition_of(subject.org);
        let Some(wrapped) = db.get(&keys::subject_key(partition, subject))? else { return Ok(None) };
        let Some(sealed) = db.get(&keys::vault(partition, subject, field))? else { return Ok(None) };
        let key = self.unwrap_subject_key(subject, &wrapped)?;
        open_with(&key, &context(subject, field), &sealed)
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

fn keyed(pepper: &[u8]) -> Result<Hmac<Sha256>, StoreError> {
    <Hmac<Sha256> as Mac>::new_from_slice(pepper).map_err(|_| StoreError::WrongMasterKey)
}

fn context(subject: Address, field: VaultField) -> Vec<u8> {
    [&subject.to_bytes()[..], &[field as u8]].concat()
}

fn open_with(key: &Secret, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(24)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let opened = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context });
    opened.ok().map(Zeroizing::new)
}

fn parse_hex(text: &str) -> Option<Secret> {
    let mut key = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(key)
}
