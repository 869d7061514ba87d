//! Codes of keys and bookings. They are written and never shown again; one that the server chose is shown once.

use super::{change_box, look, named, refused};
use crate::{
    boxes::{
        BookingPlain, Command, CredentialsPlain, KeyCodePlain, KeyCodesPlain, Refusal, SmartBox, TYPED, verifier,
        verifier_key,
    },
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::{
        AccessId, BoxId, ClaimSpace, Codec, KeyId, PersonId, VaultField, digits,
        schema::{pattern, shapes},
    },
    orgs::{
        Mark, Person,
        api::{Wrong, people},
        person::{self, Booking},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// How often a change is merged anew with what came in between.
const ATTEMPTS: usize = 4;
/// Codes that the server draws before it gives up.
const DRAWS: usize = 8;
/// Of a booking code that the server chooses.
const DRAWN_DIGITS: usize = 7;

shapes! {
    KeyDigits, "4 to 16 digits", pattern("^[0-9]{4,16}$").examples(["4711"]);
    BookingDigits, "6 to 12 digits", pattern("^[0-9]{6,12}$").examples(["7301942"]);
}

fn is_digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn mark(ask: &Ask, digits: &str) -> Mark {
    Mark::of(ask.engine.keys(), TYPED, ask.org(), digits)
}

/// Whoever types digits does not care whose they are.
pub(super) fn taken(problem: Problem) -> Problem {
    if problem.code() == Code::AccessCodeTaken { Code::TypedCodeTaken.into() } else { problem }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyCode)]
struct SetKeyCode {
    #[schema(value_type = KeyDigits)]
    code: String,
}

pub(crate) const SET_KEY_CODE: Doc = Doc::new("Give a key a code")
    .details("Whoever knows it may take the key. It takes the place of the one before.")
    .takes::<SetKeyCode>()
    .changed()
    .refuses(&[Code::TypedCodeTaken, Code::BoxChangedMeanwhile]);

pub(crate) async fn set_key_code(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    let SetKeyCode { code } = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(is_digits(&code, 4..=16), "/code", "expected 4 to 16 digits");
    wrong.check()?;
    Reply::ok(&Changed { revision: seal_key_code(&ask, named_box(&ask)?, key, Some(&code)).await? })
}

pub(crate) const REMOVE_KEY_CODE: Doc =
    Doc::new("Take the code of a key away").changed().refuses(&[Code::BoxChangedMeanwhile]);

pub(crate) async fn remove_key_code(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    Reply::ok(&Changed { revision: seal_key_code(&ask, named_box(&ask)?, key, None).await? })
}

fn named_box(ask: &Ask) -> Result<BoxId, Problem> {
    ask.path("box")
}

/// Merged with the codes of the other keys, which stand in the same sealed row.
async fn seal_key_code(ask: &Ask, id: BoxId, key: KeyId, code: Option<&str>) -> Result<u64, Problem> {
    for _ in 0..ATTEMPTS {
        let read = |state: &SmartBox| {
            let keys: Vec<_> = state.inventory().keys.into_iter().map(|key| key.key).collect();
            (state.key_codes_sealed(), state.generation(), keys)
        };
        let (base, generation, keys) = look(ask, named(ask)?, read).await?;
        if !keys.contains(&key) {
            return Err(refused(Refusal::KeyNotFound));
        }
        let mut plain: KeyCodesPlain = people::open(ask, id.at(ask.org()), VaultField::KeyCodes).await?;
        plain.codes.retain(|known| known.key != key && keys.contains(&known.key));
        plain.codes.extend(code.map(|code| KeyCodePlain { key, code: code.to_owned() }));
        let by = verifier_key(ask.engine.keys(), id, generation);
        let command = Command::SetKeyCode {
            key,
            mark: code.map(|code| mark(ask, code)),
            verifier: code.map(|code| verifier(&by, "key:", code)),
            generation,
            base,
            plain: Zeroizing::new(plain.to_bytes()),
        };
        match change_box(ask, command).await.map_err(taken) {
            Err(problem) if problem.code() == Code::BoxChangedMeanwhile => {}
            done => return done,
        }
    }
    Err(Code::BoxChangedMeanwhile.into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBookingCode)]
struct Book {
    /// Left out: the server chooses.
    #[schema(value_type = Option<BookingDigits>)]
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BookingCodeMade)]
struct Booked {
    /// Shown once.
    #[schema(value_type = BookingDigits)]
    code: String,
    revision: u64,
}

pub(crate) const BOOK: Doc = Doc::new("Give an access a booking code")
    .details("It opens at every box where the access does. Several accesses of a person may be told by one code.")
    .takes::<Book>()
    .created::<Booked>()
    .refuses(&[Code::TypedCodeTaken, Code::ChangedMeanwhile, Code::TooManyCodes, Code::AlreadyExists]);

pub(crate) async fn book(ask: Ask) -> Result<Reply, Problem> {
    let access: AccessId = ask.path("access")?;
    let Book { code } = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(code.as_ref().is_none_or(|code| is_digits(code, 6..=12)), "/code", "expected 6 to 12 digits");
    wrong.check()?;
    let person = person_of(&ask, access).await?;
    if let Some(code) = code {
        let revision = seal_booking(&ask, person, access, &code).await.map_err(taken)?;
        return Reply::created(&Booked { code, revision });
    }
    for draw in 0..DRAWS {
        let code = digits(&ask.mint_secret("booking code", draw), DRAWN_DIGITS);
        let holder = ask.engine.claim_holder(ClaimSpace::AccessCode, ask.org(), &mark(&ask, &code).0).await?;
        // A repeat of this very request finds what it drew the first time.
        if holder.is_some_and(|holder| holder != person.at(ask.org())) {
            continue;
        }
        match seal_booking(&ask, person, access, &code).await.map_err(taken) {
            Err(problem) if problem.code() == Code::TypedCodeTaken => {}
            Err(problem) => return Err(problem),
            Ok(revision) => return Reply::created(&Booked { code, revision }),
        }
    }
    Err(Code::TypedCodeTaken.into())
}

async fn person_of(ask: &Ask, access: AccessId) -> Result<PersonId, Problem> {
    let read = move |state: &SmartBox| state.access(access).map(|(record, _)| record.person);
    look(ask, named(ask)?, read).await?.ok_or_else(|| refused(Refusal::AccessNotFound))
}

/// The person's credentials as they are, with the bookings that still mean something, and what they are based on.
async fn credentials(ask: &Ask, person: PersonId) -> Result<(u64, CredentialsPlain, Vec<Booking>), Problem> {
    let read = |state: &Person, _| state.known().map(|known| (known.changed, known.bookings.clone()));
    let (base, bookings) = ask.engine.read(person.at(ask.org()), read).await?.ok_or(Code::NotFound)?;
    let mut plain: CredentialsPlain = people::open(ask, person.at(ask.org()), VaultField::Credentials).await?;
    plain.bookings.retain(|known| bookings.iter().any(|booking| booking.access == known.access));
    Ok((base, plain, bookings))
}

async fn seal_booking(ask: &Ask, person: PersonId, access: AccessId, code: &str) -> Result<u64, Problem> {
    let booking = Booking { access, mark: mark(ask, code) };
    for _ in 0..ATTEMPTS {
        let (base, mut plain, _) = credentials(ask, person).await?;
        plain.bookings.retain(|known| known.access != access);
        plain.bookings.push(BookingPlain { access, code: code.to_owned() });
        let plain = Zeroizing::new(plain.to_bytes());
        let command = person::Command::Book { base, booking, plain };
        match ask.tell_once::<Person>(person.at(ask.org()), command, people::refused).await {
            Err(problem) if problem.code() == Code::ChangedMeanwhile => {}
            done => return done,
        }
    }
    Err(Code::ChangedMeanwhile.into())
}

pub(crate) const UNBOOK: Doc =
    Doc::new("Take the booking code of an access away").changed().refuses(&[Code::ChangedMeanwhile]);

pub(crate) async fn unbook(ask: Ask) -> Result<Reply, Problem> {
    let access: AccessId = ask.path("access")?;
    let person = person_of(&ask, access).await?;
    let revision = forget_booking(&ask, person, access).await?.ok_or(Code::NotFound)?;
    Reply::ok(&Changed { revision })
}

/// Gives the code of an access back, if it had one.
pub(super) async fn forget_booking(ask: &Ask, person: PersonId, access: AccessId) -> Result<Option<u64>, Problem> {
    for _ in 0..ATTEMPTS {
        let (base, mut plain, bookings) = match credentials(ask, person).await {
            // Whoever is erased has no codes any more.
            Err(problem) if problem.code() == Code::NotFound => return Ok(None),
            read => read?,
        };
        if bookings.iter().all(|booking| booking.access != access) {
            return Ok(None);
        }
        plain.bookings.retain(|known| known.access != access);
        let plain = Some((base, Zeroizing::new(plain.to_bytes())));
        let command = person::Command::Unbook { access, plain };
        match ask.tell::<Person>(person.at(ask.org()), command, people::refused).await {
            Err(problem) if problem.code() == Code::ChangedMeanwhile => {}
            done => return done.map(|done| Some(done.revision)),
        }
    }
    Err(Code::ChangedMeanwhile.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_digits_are_even_and_as_many_as_wanted() {
        assert_eq!(digits(&[251; 32], 7), "");
        assert_eq!(digits(&[7; 32], 7), "7777777");
        assert_eq!(digits(&[249; 32], 3), "999");
        assert!(is_digits("0000", 4..=16) && !is_digits("12a4", 4..=16) && !is_digits("٣٣٣٣", 4..=16));
    }
}
