//! Enrolment codes: 80 random bits for people to type, known to the server as a hash.

use super::{change_box, look, named, time};
use crate::{
    boxes::{Command, SecretHash},
    http::{Ask, Changed, Code, Doc, Problem, Reply, auth},
    kernel::{
        UnixMillis,
        schema::{Time, pattern, shapes},
    },
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Crockford's, in upper case: neither I, L, O nor U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 16;
const VALID_FOR: Duration = Duration::from_secs(24 * 3600);

/// A code in groups of four.
pub(super) fn text(secret: &[u8; 32]) -> String {
    let mut code = String::with_capacity(CHARACTERS + 3);
    for (at, byte) in secret.iter().take(CHARACTERS).enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    code
}

/// What is stored of a code. Case, blanks and hyphens do not matter, nor do letters that look like digits.
pub(super) fn hash(typed: &str) -> Option<SecretHash> {
    let mut code = [0; CHARACTERS];
    let mut length = 0;
    for character in typed.chars().filter(|character| !character.is_whitespace() && *character != '-') {
        let plain = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let digit = u8::try_from(plain).ok().filter(|digit| ALPHABET.contains(digit))?;
        *code.get_mut(length)? = digit;
        length += 1;
    }
    (length == CHARACTERS).then(|| SecretHash(auth::hash_of(&code)))
}

/// The command that makes a code.
pub(super) fn command(code: &str, now: UnixMillis, stolen: bool) -> Option<Command> {
    Some(Command::MakeEnrolmentCode { code_hash: hash(code)?, expires: now.plus(VALID_FOR), stolen })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEnrolmentCode)]
struct Make {
    #[serde(default)]
    stolen: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EnrolmentCodeMade)]
struct Made {
    /// Shown once.
    #[schema(value_type = EnrolmentCode)]
    code: String,
    /// `null`: it has been used meanwhile.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<String>,
    revision: u64,
}

shapes! {
    EnrolmentCode, "16 characters in groups of four, for people to type; works once, for 24 hours",
        pattern("^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$").examples(["K7QD-3MXA-9FTR-WZ20"]);
}

pub(crate) const MAKE: Doc = Doc::new("Make a code with which a box enrols")
    .details("`stolen`: the box is suspended until it is enrolled anew.")
    .takes::<Make>()
    .created::<Made>();

pub(crate) async fn make(ask: Ask) -> Result<Reply, Problem> {
    let Make { stolen } = ask.json()?;
    let code = text(&ask.mint_secret("enrolment code", 0));
    let command = command(&code, ask.now(), stolen).ok_or(Code::Internal)?;
    let revision = change_box(&ask, command).await?;
    let expires = look(&ask, named(&ask)?, |state| state.enrolment.as_ref().map(|code| code.expires)).await?;
    Reply::created(&Made { code, expires_at: time(expires), revision })
}

pub(crate) const UNLINK: Doc = Doc::new("Unlink a box from its cabinet")
    .details("Its token and its enrolment code end. Bins, keys, accesses and history stay; a cabinet is enrolled anew.")
    .changed();

pub(crate) async fn unlink(ask: Ask) -> Result<Reply, Problem> {
    Reply::ok(&Changed { revision: change_box(&ask, Command::Unlink).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = text(&[0b1011_0110; 32]);
        assert_eq!(code.len(), 19);
        let same = hash(&code).unwrap();
        assert_eq!(hash(&code.to_lowercase().replace('-', " ")).unwrap(), same);
        assert_eq!(hash("0000-0000-0000-0001"), hash("oOoO 0000 0000 000l"));
        for wrong in ["", "K7QD", "K7QD-3MXA-9FTR-WZ2U", "K7QD-3MXA-9FTR-WZ200", "K7QD-3MXA-9FTR-WZ2é"] {
            assert!(hash(wrong).is_none(), "{wrong}");
        }
    }
}
