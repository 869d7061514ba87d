//! What the tests of this context share.

use crate::kernel::{Context, KeyedHash, OrgId, Principal, StoreId, UnixMillis};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

pub const ORG: OrgId = OrgId(7);
pub const STORE: StoreId = StoreId(0x2fb0_a48a_350a_dc11_bb1f_0013_7274_7fc5);
pub const START: UnixMillis = UnixMillis(1_767_225_600_000);
pub const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
pub const BROWSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9));

pub struct Keys;

impl KeyedHash for Keys {
    fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(purpose);
        parts.iter().fold(hash, |hash, part| hash.chain_update([part.len() as u8]).chain_update(part)).finalize().into()
    }
}

pub fn context(now: UnixMillis) -> Context {
    Context { org: ORG, now, epoch: 1, up_since: START, by: Principal::Server, from: None }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares what is written now with the lines of a file that never change, and reads those back.
pub fn golden<E: crate::kernel::Codec + std::fmt::Debug + PartialEq>(file: &str, samples: Vec<(&'static str, E)>) {
    let now: String = samples.iter().map(|(name, event)| format!("{name} {}\n", hex(&event.to_bytes()))).collect();
    assert_eq!(now, file);
    for (line, (name, event)) in file.lines().zip(samples) {
        let (known, digits) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        assert_eq!((known, E::decode_from(&bytes)), (name, Ok(event)));
    }
}
