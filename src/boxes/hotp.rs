//! Offline codes: HOTP (RFC 4226) with eight digits, under secrets that follow from the box's enrolment, the number of
//! the sheet and the list.

use super::words::Label;
use crate::kernel::{BoxId, KeyedHash};
use ring::hmac;

const MODULUS: u32 = 100_000_000;

/// What the box gets at its enrolment, and nobody else.
pub fn offline_key(keys: &dyn KeyedHash, id: BoxId, generation: u32) -> [u8; 32] {
    keys.keyed_hash("box-offline-codes", &[&id.to_bytes(), &generation.to_be_bytes()])
}

/// The secret of one list of a sheet: that of a bin, or `None`: of the whole box.
pub fn list_secret(offline_key: &[u8; 32], sheet: u32, bin: Option<&Label>) -> [u8; 32] {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, offline_key));
    mac.update(&sheet.to_be_bytes());
    match bin {
        Some(bin) => {
            mac.update(b"bin:");
            mac.update(bin.as_bytes());
        }
        None => mac.update(b"box"),
    }
    let mut secret = [0; 32];
    secret.copy_from_slice(mac.sign().as_ref());
    secret
}

/// The code for a counter.
pub fn hotp(secret: &[u8], counter: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &counter.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[mac.len() - 1] & 0xf);
    let word = mac[at..at + 4].iter().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
    (word & 0x7fff_ffff) % MODULUS
}

/// As it is printed and typed.
pub fn digits(code: u32) -> String {
    format!("{code:08}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::TestKeys;

    #[test]
    fn the_vectors_of_rfc_4226_hold() {
        // Appendix D: the truncated values in decimal; its own codes are their last six digits.
        const TRUNCATED: [u32; 10] = [
            1_284_755_224,
            1_094_287_082,
            137_359_152,
            1_726_969_429,
            1_640_338_314,
            868_254_676,
            1_918_287_922,
            82_162_583,
            673_399_871,
            645_520_489,
        ];
        const SIX: [u32; 10] =
            [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (counter, (truncated, six)) in (0..).zip(TRUNCATED.into_iter().zip(SIX)) {
            let code = hotp(b"12345678901234567890", counter);
            assert_eq!((code, code % 1_000_000), (truncated % MODULUS, six));
        }
        assert_eq!(digits(82_162_583 % MODULUS), "82162583");
        assert_eq!(digits(7), "00000007");
    }

    #[test]
    fn every_box_enrolment_sheet_and_list_has_a_secret_of_its_own() {
        let (a, b) = (Label::new("A-1").unwrap(), Label::new("A-2").unwrap());
        let root = |id, generation| offline_key(&TestKeys(1), BoxId(id), generation);
        let mut secrets = vec![
            list_secret(&root(1, 1), 0, Some(&a)),
            list_secret(&root(1, 1), 0, Some(&b)),
            list_secret(&root(1, 1), 0, None),
            list_secret(&root(1, 1), 1, Some(&a)),
            list_secret(&root(1, 2), 0, Some(&a)),
            list_secret(&root(2, 1), 0, Some(&a)),
        ];
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), 6);
    }
}
