//! Signed texts as a box reads them from a QR code: Base45, COSE_Sign1, CWT, checked with public keys and nothing else.

use super::Refusal;
use crate::wire::PublicKey;
use minicbor::{Decoder, Encoder, data::Type};
use ring::signature::{ED25519, UnparsedPublicKey};

const PREFIX: &str = "CAS1:";
const COSE_SIGN1: u64 = 18;
const EDDSA: i64 = -8;
const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What a text that holds says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    pub organisation: String,
    pub person: String,
    pub id: String,
    pub from_s: u64,
    pub until_s: u64,
    pub is_pass: bool,
    pub key: Option<String>,
    pub group: Option<String>,
    pub all: bool,
    /// The one box where it holds.
    pub only_box: Option<String>,
}

/// The text, if one of these keys has signed it.
pub fn read(text: &str, keys: &[PublicKey], now_ms: u64) -> Result<Signed, Refusal> {
    let bytes = text.strip_prefix(PREFIX).and_then(unbase45).ok_or(Refusal::NotSigned)?;
    checked(&bytes, keys, now_ms).ok_or(Refusal::NotSigned)
}

impl Signed {
    /// Whether its time has come and is not over.
    pub fn in_time(self, now_ms: u64) -> Result<Self, Refusal> {
        if now_ms / 1000 < self.from_s {
            return Err(Refusal::NotYetValid);
        }
        if now_ms / 1000 >= self.until_s { Err(Refusal::Expired) } else { Ok(self) }
    }
}

fn checked(bytes: &[u8], keys: &[PublicKey], now_ms: u64) -> Option<Signed> {
    let mut cbor = Decoder::new(bytes);
    if cbor.tag().ok()?.as_u64() != COSE_SIGN1 || cbor.array().ok()? != Some(4) {
        return None;
    }
    let protected = cbor.bytes().ok()?;
    if cbor.map().ok()? != Some(0) {
        return None;
    }
    let payload = cbor.bytes().ok()?;
    let signature = cbor.bytes().ok()?;
    let number = signer(protected)?;
    if cbor.position() != bytes.len() {
        return None;
    }
    let lives = |key: &&PublicKey| key.until_ms.is_none_or(|until| now_ms < until);
    let key = keys.iter().filter(lives).find(|key| key.number == number)?;
    let mut to_check = Encoder::new(Vec::new());
    to_check.array(4).ok()?.str("Signature1").ok()?.bytes(protected).ok()?.bytes(&[]).ok()?.bytes(payload).ok()?;
    let public = UnparsedPublicKey::new(&ED25519, super::state::from_hex(&key.key));
    public.verify(&to_check.into_writer(), signature).ok()?;
    claims(payload)
}

/// The number of the key, of a header that says exactly how and by which key.
fn signer(protected: &[u8]) -> Option<u64> {
    let mut cbor = Decoder::new(protected);
    let (mut algorithm, mut number) = (None, None);
    for _ in 0..cbor.map().ok()?? {
        match cbor.i64().ok()? {
            1 => algorithm = Some(cbor.i64().ok()?),
            4 => number = Some(u64::from(u32::from_be_bytes(cbor.bytes().ok()?.try_into().ok()?))),
            _ => return None,
        }
    }
    if algorithm == Some(EDDSA) && cbor.position() == protected.len() { number } else { None }
}

fn claims(payload: &[u8]) -> Option<Signed> {
    let mut cbor = Decoder::new(payload);
    let (mut signed, mut kind) = (Signed::default(), None);
    for _ in 0..cbor.map().ok()?? {
        if cbor.datatype().ok()? == Type::String {
            match cbor.str().ok()? {
                "kind" => kind = Some(cbor.str().ok()?.to_owned()),
                "key" => signed.key = Some(id("key", cbor.bytes().ok()?)?),
                "group" => signed.group = Some(id("grp", cbor.bytes().ok()?)?),
                "all" => signed.all = cbor.bool().ok()?,
                "box" => signed.only_box = Some(id("box", cbor.bytes().ok()?)?),
                // A claim that narrows the pass must not be passed over.
                _ => return None,
            }
            continue;
        }
        match cbor.i64().ok()? {
            2 => signed.person = cbor.str().ok()?.to_owned(),
            3 => signed.organisation = cbor.str().ok()?.to_owned(),
            4 => signed.until_s = cbor.u64().ok()?,
            5 => signed.from_s = cbor.u64().ok()?,
            6 => drop(cbor.u64().ok()?),
            7 => signed.id = id("pass", cbor.bytes().ok()?)?,
            _ => return None,
        }
    }
    signed.is_pass = match kind.as_deref()? {
        "pass" => true,
        "person" => false,
        _ => return None,
    };
    (cbor.position() == payload.len()).then_some(signed)
}

/// An id as it is written elsewhere.
fn id(prefix: &str, bytes: &[u8]) -> Option<String> {
    let raw = u128::from_be_bytes(bytes.try_into().ok()?);
    let digit = |at: u32| char::from(ID_ALPHABET[(raw >> (5 * at)) as usize & 31]);
    Some(format!("{prefix}_{}", (0..26).rev().map(digit).collect::<String>()))
}

/// Only what the library would write itself: it takes digits beyond a byte at the end.
fn unbase45(text: &str) -> Option<Vec<u8>> {
    let bytes = base45::decode(text).ok()?;
    (base45::encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9285_are_read_and_others_refused() {
        for (plain, text) in
            [("AB", "BB8"), ("Hello!!", "%69 VD92EX0"), ("base-45", "UJCLQE7W581"), ("ietf!", "QED8WEX0")]
        {
            assert_eq!(unbase45(text).as_deref(), Some(plain.as_bytes()));
        }
        for wrong in ["A", "GGW", ":::", "bb8", "BB8A", "::"] {
            assert_eq!(unbase45(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ids_are_written_as_everywhere() {
        assert_eq!(id("key", &[0; 16]).as_deref(), Some("key_00000000000000000000000000"));
        assert_eq!(id("box", &[0xff; 16]).as_deref(), Some("box_7zzzzzzzzzzzzzzzzzzzzzzzzz"));
        assert_eq!(id("box", &[0; 15]), None);
    }
}
