//! Tokens: 256 random bits. Nothing can be read from one; its keyed hash says which session it opens, and proves it.

use crate::{
    iuv::{sessions::state::Check, wire::given},
    kernel::{KeyedHash, SessionId},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// With padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which session a token opens.
pub fn session_of(keys: &dyn KeyedHash, token: &[u8; 32]) -> (SessionId, Check) {
    let hash = keys.keyed_hash("iuv.token", &[token]);
    let (id, check) = hash.split_at(16);
    let mut proof = [0; 16];
    proof.copy_from_slice(check);
    (SessionId(id.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))), Check(proof))
}

/// As it stands in a URL.
pub fn escaped(token: &[u8; 32]) -> String {
    let text = STANDARD.encode(token);
    let mut escaped = String::with_capacity(text.len() + 12);
    for c in text.chars() {
        match c {
            '+' => escaped.push_str("%2b"),
            '/' => escaped.push_str("%2f"),
            '=' => escaped.push_str("%3d"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A token and a GUID in a query, as browsers bring them; a plus that was taken for a blank on its way is a plus.
pub fn in_query(query: &[u8]) -> (Option<[u8; 32]>, Option<String>) {
    let mut found = [None, None];
    for pair in query.split(|byte| *byte == b'&').take(20) {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let at = match () {
            () if name.eq_ignore_ascii_case(b"token") => 0,
            () if name.eq_ignore_ascii_case(b"ws") => 1,
            () => continue,
        };
        found[at] = given::decoded(value);
    }
    let [token, store] = found;
    (token.and_then(|token| read(&token)), store)
}

fn read(text: &str) -> Option<[u8; 32]> {
    if text.len() > 64 {
        return None;
    }
    LENIENT.decode(text.replace(' ', "+")).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_whatever_happened_to_their_signs() {
        let token: [u8; 32] = std::array::from_fn(|at| if at % 3 == 0 { 0xfb } else { 0xff });
        let escaped = escaped(&token);
        assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'), "{escaped}");
        let plain = STANDARD.encode(token);
        let bare = plain.trim_end_matches('=');
        for form in [&*escaped, &plain, bare] {
            let query = format!("x=1&TOKEN={form}&ws=abc");
            assert_eq!(in_query(query.as_bytes()), (Some(token), Some("abc".to_owned())), "{form}");
        }
        for at in 0..plain.len() - 2 {
            let mut other = plain.clone().into_bytes();
            other[at] ^= 1;
            assert_ne!(in_query(&[b"token=", &other[..]].concat()).0, Some(token), "{at}");
        }
        for wrong in ["", "token=", "token=%ff", "token=AAAA", "ws=x"] {
            assert_eq!(in_query(wrong.as_bytes()).0, None, "{wrong}");
        }
    }
}
