//! Signed passes and personal QR codes: a CWT (RFC 8392) in a COSE_Sign1 (RFC 9052) with Ed25519, as Base45 (RFC 9285)
//! behind `CAS1:`. A box checks them with a public key and no network.

use super::{codes::PassKey, command::Scope};
use crate::kernel::{BoxId, GroupId, KeyId, KeyedHash, OrgId, PassId, PersonId, UnixMillis};
use minicbor::{Decoder, Encoder, data::Type};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// How a text begins that is one of ours.
pub const PREFIX: &str = "CAS1:";
/// COSE: EdDSA.
const EDDSA: i8 = -8;
const COSE_SIGN1: u64 = 18;

/// What is signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    pub organisation: OrgId,
    pub person: PersonId,
    pub id: PassId,
    pub from: UnixMillis,
    pub until: UnixMillis,
    pub signed: UnixMillis,
    /// `None`: who it is, and nothing about what they may take.
    pub permission: Option<Permission>,
}

/// What a pass opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    pub scope: Scope,
    /// `None`: wherever the key is, because it may be dropped off anywhere.
    pub smart_box: Option<BoxId>,
}

/// The private key of an organisation with this number. It follows from the server's own secret.
fn key_pair(keys: &dyn KeyedHash, organisation: OrgId, number: u32) -> Option<Ed25519KeyPair> {
    let seed = keys.keyed_hash("orgs.pass_key", &[&organisation.to_bytes(), &number.to_be_bytes()]);
    Ed25519KeyPair::from_seed_unchecked(&seed).ok()
}

/// What boxes check with.
pub fn public_key(keys: &dyn KeyedHash, organisation: OrgId, number: u32) -> Option<[u8; 32]> {
    key_pair(keys, organisation, number)?.public_key().as_ref().try_into().ok()
}

/// The text that stands in the QR code.
pub fn sign(keys: &dyn KeyedHash, number: u32, claims: &Claims) -> Option<String> {
    let pair = key_pair(keys, claims.organisation, number)?;
    let bytes = cose_sign1(&pair, number, claims).ok()?;
    Some(format!("{PREFIX}{}", base45::encode(&bytes)))
}

type Failed = minicbor::encode::Error<std::convert::Infallible>;

fn cose_sign1(pair: &Ed25519KeyPair, number: u32, claims: &Claims) -> Result<Vec<u8>, Failed> {
    let mut protected = Encoder::new(Vec::with_capacity(16));
    protected.map(2)?.u8(1)?.i8(EDDSA)?.u8(4)?.bytes(&number.to_be_bytes())?;
    let protected = protected.into_writer();
    let payload = cwt(claims)?;
    let signature = pair.sign(&to_sign(&protected, &payload)?);
    let mut message = Encoder::new(Vec::with_capacity(payload.len() + 96));
    message.tag(minicbor::data::Tag::new(COSE_SIGN1))?.array(4)?.bytes(&protected)?.map(0)?.bytes(&payload)?;
    message.bytes(signature.as_ref())?;
    Ok(message.into_writer())
}

fn to_sign(protected: &[u8], payload: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut cbor = Encoder::new(Vec::with_capacity(payload.len() + 64));
    cbor.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?;
    Ok(cbor.into_writer())
}

/// Times in whole seconds: the beginning is rounded down, the end too, so that nothing lives longer than was granted.
fn cwt(claims: &Claims) -> Result<Vec<u8>, Failed> {
    let permission = claims.permission.as_ref();
    let boxes = permission.and_then(|permission| permission.smart_box);
    let entries = 7 + u64::from(permission.is_some()) + u64::from(boxes.is_some());
    let mut cbor = Encoder::new(Vec::with_capacity(192));
    cbor.map(entries)?;
    cbor.u8(2)?.str(&claims.person.to_string())?;
    cbor.u8(3)?.str(&claims.organisation.to_string())?;
    cbor.u8(4)?.u64(claims.until.0 / 1000)?;
    cbor.u8(5)?.u64(claims.from.0 / 1000)?;
    cbor.u8(6)?.u64(claims.signed.0 / 1000)?;
    cbor.u8(7)?.bytes(&claims.id.to_bytes())?;
    cbor.str("kind")?.str(if permission.is_some() { "pass" } else { "person" })?;
    match permission.map(|permission| permission.scope) {
        Some(Scope::Key(key)) => cbor.str("key")?.bytes(&key.to_bytes())?.ok()?,
        Some(Scope::Group(group)) => cbor.str("group")?.bytes(&group.to_bytes())?.ok()?,
        Some(Scope::Box) => cbor.str("all")?.bool(true)?.ok()?,
        None => {}
    }
    if let Some(smart_box) = boxes {
        cbor.str("box")?.bytes(&smart_box.to_bytes())?;
    }
    Ok(cbor.into_writer())
}

/// Only what the library would write itself: it takes digits beyond a byte at the end.
fn unbase45(text: &str) -> Option<Vec<u8>> {
    let bytes = base45::decode(text).ok()?;
    (base45::encode(&bytes) == text).then_some(bytes)
}

/// What a text says, if one of these keys has signed it and is still believed. Its own times are not looked at.
pub fn read(text: &str, keys: &[PassKey], now: UnixMillis) -> Option<Claims> {
    let bytes = unbase45(text.strip_prefix(PREFIX)?)?;
    let mut cbor = Decoder::new(&bytes);
    if cbor.tag().ok()?.as_u64() != COSE_SIGN1 || cbor.array().ok()? != Some(4) {
        return None;
    }
    let protected = cbor.bytes().ok()?;
    if cbor.map().ok()? != Some(0) {
        return None;
    }
    let (payload, signature) = (cbor.bytes().ok()?, cbor.bytes().ok()?);
    if cbor.position() != bytes.len() {
        return None;
    }
    let number = signer(protected)?;
    let key = keys.iter().find(|key| key.number == number && key.until.is_none_or(|until| now < until))?;
    let signed = to_sign(protected, payload).ok()?;
    UnparsedPublicKey::new(&ED25519, key.public).verify(&signed, signature).ok()?;
    claims(payload)
}

/// The number of the key, of a header that says exactly how and by which key.
fn signer(protected: &[u8]) -> Option<u32> {
    let mut cbor = Decoder::new(protected);
    let (mut algorithm, mut number) = (None, None);
    for _ in 0..cbor.map().ok()?? {
        match cbor.i64().ok()? {
            1 => algorithm = Some(cbor.i8().ok()?),
            4 => number = Some(u32::from_be_bytes(cbor.bytes().ok()?.try_into().ok()?)),
            _ => return None,
        }
    }
    number.filter(|_| algorithm == Some(EDDSA) && cbor.position() == protected.len())
}

fn claims(payload: &[u8]) -> Option<Claims> {
    let mut cbor = Decoder::new(payload);
    let (mut person, mut organisation, mut id, mut kind) = (None, None, None, None);
    let (mut until, mut from, mut signed, mut scope, mut smart_box) = (None, None, None, None, None);
    for _ in 0..cbor.map().ok()?? {
        if cbor.datatype().ok()? == Type::String {
            match cbor.str().ok()? {
                "kind" => kind = Some(cbor.str().ok()?),
                "key" => scope = Some(Scope::Key(KeyId::from_bytes(cbor.bytes().ok()?)?)),
                "group" => scope = Some(Scope::Group(GroupId::from_bytes(cbor.bytes().ok()?)?)),
                "all" => scope = cbor.bool().ok()?.then_some(Scope::Box),
                "box" => smart_box = Some(BoxId::from_bytes(cbor.bytes().ok()?)?),
                // A claim that narrows the pass must not be passed over.
                _ => return None,
            }
            continue;
        }
        let time = |cbor: &mut Decoder<'_>| cbor.u64().ok()?.checked_mul(1000).map(UnixMillis);
        match cbor.i64().ok()? {
            2 => person = cbor.str().ok()?.parse().ok(),
            3 => organisation = cbor.str().ok()?.parse().ok(),
            4 => until = time(&mut cbor),
            5 => from = time(&mut cbor),
            6 => signed = time(&mut cbor),
            7 => id = PassId::from_bytes(cbor.bytes().ok()?),
            _ => return None,
        }
    }
    let permission = match kind? {
        "pass" => Some(Permission { scope: scope?, smart_box }),
        "person" => None,
        _ => return None,
    };
    let claims = Claims {
        organisation: organisation?,
        person: person?,
        id: id?,
        from: from?,
        until: until?,
        signed: signed?,
        permission,
    };
    (cbor.position() == payload.len()).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KeyId, testing::TestKeys};

    #[test]
    fn the_examples_of_rfc_9285_are_read_and_others_refused() {
        for (plain, text) in [("AB", "BB8"), ("Hello!!", "%69 VD92EX0"), ("base-45", "UJCLQE7W581"), ("", "")] {
            assert_eq!(unbase45(text).as_deref(), Some(plain.as_bytes()));
        }
        for wrong in ["A", "GGW", ":::", "bb8", "BB8A", "::"] {
            assert_eq!(unbase45(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_signed_can_be_checked_and_nothing_else() {
        let claims = Claims {
            organisation: OrgId(7),
            person: PersonId(3),
            id: PassId(9),
            from: UnixMillis(1_000),
            until: UnixMillis(2_999),
            signed: UnixMillis(1_500),
            permission: Some(Permission { scope: Scope::Key(KeyId(5)), smart_box: Some(BoxId(1)) }),
        };
        let pair = key_pair(&TestKeys(1), OrgId(7), 1).unwrap();
        let message = cose_sign1(&pair, 1, &claims).unwrap();
        let mut cbor = Decoder::new(&message);
        assert_eq!(cbor.tag().unwrap().as_u64(), COSE_SIGN1);
        assert_eq!(cbor.array().unwrap(), Some(4));
        let protected = cbor.bytes().unwrap().to_vec();
        assert_eq!(protected, [0xa2, 1, 0x27, 4, 0x44, 0, 0, 0, 1]);
        assert_eq!(cbor.map().unwrap(), Some(0));
        let payload = cbor.bytes().unwrap().to_vec();
        let signature = cbor.bytes().unwrap().to_vec();
        let signed = |payload: &[u8]| {
            let mut to_sign = Encoder::new(Vec::new());
            to_sign.array(4).unwrap().str("Signature1").unwrap().bytes(&protected).unwrap();
            to_sign.bytes(&[]).unwrap().bytes(payload).unwrap();
            let key = public_key(&TestKeys(1), OrgId(7), 1).unwrap();
            let key = UnparsedPublicKey::new(&ED25519, key);
            key.verify(&to_sign.into_writer(), &signature).is_ok()
        };
        assert!(signed(&payload));
        let mut other = payload.clone();
        other[10] ^= 1;
        assert!(!signed(&other));
        assert_ne!(public_key(&TestKeys(1), OrgId(7), 1), public_key(&TestKeys(1), OrgId(7), 2));
        assert_ne!(public_key(&TestKeys(1), OrgId(7), 1), public_key(&TestKeys(1), OrgId(8), 1));
        assert_eq!(sign(&TestKeys(1), 1, &claims), sign(&TestKeys(1), 1, &claims), "shown again it is the same");
    }

    #[test]
    fn what_was_signed_is_read_back_and_nothing_else() {
        let whole = Claims {
            organisation: OrgId(7),
            person: PersonId(3),
            id: PassId(9),
            from: UnixMillis(1_000),
            until: UnixMillis(2_000),
            signed: UnixMillis(1_000),
            permission: None,
        };
        let key = |number, until| {
            let public = public_key(&TestKeys(1), OrgId(7), number).unwrap();
            PassKey { number, public, from: UnixMillis(0), until }
        };
        let now = UnixMillis(5);
        let scopes = [Scope::Key(KeyId(5)), Scope::Group(GroupId(6)), Scope::Box].map(Some).into_iter().chain([None]);
        for (scope, smart_box) in scopes.flat_map(|scope| [(scope, None), (scope, Some(BoxId(1)))]) {
            let permission = scope.map(|scope| Permission { scope, smart_box });
            let text = sign(&TestKeys(1), 1, &Claims { permission, ..whole.clone() }).unwrap();
            assert_eq!(read(&text, &[key(1, None)], now), Some(Claims { permission, ..whole.clone() }));
            assert_eq!(read(&text, &[key(1, Some(now))], now), None, "nothing that this key has signed holds");
            assert_eq!(read(&text, &[key(2, None)], now), None);
            assert_eq!(read(&text, &[PassKey { number: 1, ..key(2, None) }], now), None, "another key");
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(read(&String::from_utf8(other).unwrap(), &[key(1, None)], now), None, "byte {at}");
                assert_eq!(read(&text[..at], &[key(1, None)], now), None);
            }
        }
        for wrong in ["", "CAS1:", "CAS1:A", "CAS1:\u{e9}", "CAS1:::::::", "CAS2:BB8", "4711"] {
            assert_eq!(read(wrong, &[key(1, None)], now), None);
        }
    }
}
