//! Signatures as the Standard Webhooks specification writes them.

use super::rows::SealedPlain;
use crate::kernel::UnixMillis;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A secret as its owner sees it.
pub fn secret_text(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// `webhook-signature` for a message that is sent at `now`: by the secret, and by the one before it while that counts.
pub fn signatures(sealed: &SealedPlain, id: &str, now: UnixMillis, body: &[u8]) -> String {
    let timestamp = timestamp(now);
    let mut header = signature(&sealed.secret, id, &timestamp, body);
    if let Some(previous) = sealed.previous.as_ref().filter(|previous| now < previous.until) {
        header.push(' ');
        header.push_str(&signature(&previous.secret, id, &timestamp, body));
    }
    header
}

/// `webhook-timestamp`: seconds.
pub fn timestamp(now: UnixMillis) -> String {
    (now.0 / 1000).to_string()
}

fn signature(secret: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret) else { return String::new() };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::rows::PreviousSecret;
    use super::*;

    /// The example that the specification's own libraries test against.
    #[test]
    fn signs_as_the_specification_says() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(secret_text(&secret), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let now = UnixMillis(1_614_265_330_999);
        let body = br#"{"test": 2432232314}"#;
        let mut sealed = SealedPlain { url: String::new(), secret, previous: None };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(&sealed, id, now, body), expected);
        sealed.previous = Some(PreviousSecret { secret: vec![7; 32], until: now });
        assert_eq!(signatures(&sealed, id, now, body), expected, "its time is over");
        let both = signatures(&sealed, id, UnixMillis(now.0 - 1), body);
        let [first, second] = both.split(' ').collect::<Vec<_>>()[..] else { panic!("{both}") };
        assert!(first == expected && second.starts_with("v1,") && second != first);
    }
}
