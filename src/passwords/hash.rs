//! What is stored of a password, and what making it costs.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use minicbor::{Decode, Encode};
use subtle::ConstantTimeEq;

/// How dear a guess is. As OWASP's password storage page gives it, unless configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cost {
    #[n(0)]
    pub memory_kib: u32,
    #[n(1)]
    pub iterations: u32,
    #[n(2)]
    pub lanes: u32,
}

impl Cost {
    /// Whether argon2 knows such a cost.
    pub fn is_possible(self) -> bool {
        self.params().is_ok()
    }

    fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.iterations, self.lanes, Some(HASH_BYTES))
    }
}

const HASH_BYTES: usize = 32;

/// Argon2id (version 1.3) of a password. Stored: field numbers are append-only.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PasswordHash {
    #[n(0)]
    cost: Cost,
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    hash: [u8; HASH_BYTES],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Memory of one thread, kept from password to password.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl PasswordHash {
    /// What the password of a name that is not known is compared with.
    pub(super) fn nobodys(cost: Cost) -> Self {
        Self { cost, salt: *b"nobody's has one", hash: [0; HASH_BYTES] }
    }

    pub(super) fn make(
        memory: &mut Memory,
        cost: Cost,
        salt: [u8; 16],
        password: &[u8],
    ) -> Result<Self, argon2::Error> {
        let params = cost.params()?;
        memory.0.resize(params.block_count(), Block::new());
        let mut hash = [0; HASH_BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into_with_memory(password, &salt, &mut hash, memory.0.as_mut_slice())?;
        Ok(Self { cost, salt, hash })
    }

    pub(super) fn is_of(&self, memory: &mut Memory, password: &[u8]) -> Result<bool, argon2::Error> {
        let made = Self::make(memory, self.cost, self.salt, password)?;
        Ok(made.hash.ct_eq(&self.hash).into())
    }

    /// Whether it costs what is configured now.
    pub fn costs(&self, cost: Cost) -> bool {
        self.cost == cost
    }
}
